#pragma once

#include "native/modules/fused_conv.h"
#include "native/modules/upsamplers/upsampler.h"

namespace freqfusion {

struct CarafePackOptions {
  int64_t channels = 0;
  int64_t up_kernel = 5;  // odd, 1..31
  int64_t up_group = 1;   // divides the channels
  int64_t encoder_kernel = 3;
  int64_t encoder_dilation = 1;
  int64_t compressed_channels = 64;

  // mmcv's names in camelCase. ERR_OPTION_* for a wrong value.
  static CarafePackOptions parse(const Options& options, int64_t channels);
};

// CARAFE (ICCV 2019) with the layers that predict its kernels from the map itself: mmcv's CARAFEPack. State
// `channel_compressor.*` and `content_encoder.*`.
class CarafePack final : public Upsampler {
 public:
  explicit CarafePack(const CarafePackOptions& options);
  at::Tensor forward(const at::Tensor& x) const override;

  // Xavier uniform for the compressor, normal(0, 0.001) for the encoder, biases 0.
  void initialize(at::Generator& generator) override;

 private:
  const CarafePackOptions options_;
  FusedConv2d compressor_, encoder_;
};

}  // namespace freqfusion
