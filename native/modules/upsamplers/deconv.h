#pragma once

#include <optional>

#include "native/modules/activation.h"
#include "native/modules/upsamplers/upsampler.h"

namespace freqfusion {

struct DeconvOptions {
  int64_t kernel = 3;
  int64_t stride = 2;
  int64_t padding = 1;
  int64_t output_padding = 1;
  Activation activation = Activation::none;

  // As mmdetection's FPN_CARAFE sets it for a kernel: exactly twice the size for 2 and 3, one more for 4.
  static DeconvOptions doubling(int64_t kernel) {
    const int64_t padding = (kernel - 1) / 2;
    return {kernel, 2, padding, padding, Activation::none};
  }
};

// Transposed convolution with state `weight` [in, out, k, k] and `bias` [out], and the activation that follows it.
// x [N, in, h, w] -> [N, out, (h - 1) * stride - 2 * padding + kernel + output_padding, ...]. Zeros until loaded.
class Deconv final : public Upsampler {
 public:
  Deconv(int64_t in, int64_t out, const DeconvOptions& options);
  at::Tensor forward(const at::Tensor& x) const override;

  // Xavier uniform, bias 0.
  void initialize(at::Generator& generator) override;

  // Drops what was derived from the weights: to be called where they are filled other than by loading.
  void changed() override { wide_.reset(); }

  at::Tensor weight, bias;

 private:
  struct Wide {
    at::Tensor weight, bias;
  };
  const DeconvOptions options_;
  mutable std::optional<Wide> wide_;  // in compute_type and channels-last memory
};

}  // namespace freqfusion
