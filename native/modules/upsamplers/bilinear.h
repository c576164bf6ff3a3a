#pragma once

#include <ATen/ops/upsample_bilinear2d.h>

#include "native/modules/upsamplers/upsampler.h"

namespace freqfusion {

// Interpolates between the centres of pixels (align_corners false). No state.
class Bilinear final : public Upsampler {
 public:
  at::Tensor forward(const at::Tensor& x) const override {
    return at::upsample_bilinear2d(x, {2 * x.size(2), 2 * x.size(3)}, false);
  }
};

}  // namespace freqfusion
