#pragma once

#include "native/modules/fused_conv.h"
#include "native/modules/upsamplers/upsampler.h"

namespace freqfusion {

// A convolution to four times the channels, which then become the four pixels: mmcv's PixelShufflePack. State
// `upsample_conv.*`.
class PixelShuffle final : public Upsampler {
 public:
  PixelShuffle(int64_t channels, int64_t kernel);
  at::Tensor forward(const at::Tensor& x) const override;

  // Xavier uniform, bias 0.
  void initialize(at::Generator& generator) override;

 private:
  FusedConv2d conv_;
};

}  // namespace freqfusion
