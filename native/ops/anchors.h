#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "native/ops/export.h"

namespace freqfusion {

struct AnchorOptions {
  std::vector<double> scales{8};
  std::vector<double> ratios{0.5, 1, 2};  // height / width
  bool scale_major = true;                // ratio outside, scale inside; false: the other way round
  double center_offset = 0;               // centre of the first anchor, in parts of base_size
};

// The anchors of one cell, centred at center_offset * base_size: float32 [ratios * scales, 4].
FREQFUSION_API at::Tensor base_anchors(double base_size, const AnchorOptions& options);

// base [A, 4] moved to every cell of a height x width map: [height * width * A, 4], ordered by row, column, anchor.
FREQFUSION_API at::Tensor grid_anchors(const at::Tensor& base, int64_t height, int64_t width, double stride_x,
                                       double stride_y);

}  // namespace freqfusion
