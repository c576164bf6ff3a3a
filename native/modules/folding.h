#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "native/modules/layers.h"
#include "native/ops/pointwise_conv.h"

// What inference computes with instead of the state's own tensors: batch norms and layer scales folded into the
// neighbouring convolutions, weights laid out for the fused operators. Made once after the state changed
// (Module::changed), in double precision before the last rounding; the state dict keeps its own values.

namespace freqfusion {

// The dtype that a network with such parameters computes in. On a GPU its own: 16-bit products on tensor cores, sums in
// float32. On a CPU float32 for 16-bit types, whose convolutions libtorch computes tens of times slower on most CPUs
// (float16) or hardly faster (bfloat16); its weights are converted once.
inline at::ScalarType compute_type(const at::Tensor& parameter) {
  const at::ScalarType dtype = parameter.scalar_type();
  return parameter.is_cuda() || dtype == at::kDouble ? dtype : at::kFloat;
}

// y = scale * x + shift, channel by channel, in double.
struct ChannelAffine {
  at::Tensor scale, shift;
};
ChannelAffine affine_of(const BatchNorm2d& norm);

// Weight [out, in / groups, kh, kw] and bias [out] of a convolution, in double; a missing bias is zero.
struct ConvWeights {
  at::Tensor weight, bias;
};
ConvWeights weights_of(const Conv2d& conv);
// conv(affine(x)): exact where the convolution pads nothing.
ConvWeights after(const ChannelAffine& affine, const ConvWeights& conv);
// scale * conv(x) + shift.
ConvWeights before(const ConvWeights& conv, const ChannelAffine& affine);

// A 1x1 convolution as the operator takes it.
class PackedPointwise {
 public:
  PackedPointwise() = default;
  // `bias` false leaves out a bias that is zero.
  PackedPointwise(const ConvWeights& conv, at::ScalarType dtype, bool bias = true);
  // See native/ops/pointwise_conv.h.
  at::Tensor forward(const at::Tensor& x, const PointwiseConvExtras& extras = {}) const;

 private:
  int64_t out_channels_ = 0;
  at::Tensor weight_;
  std::optional<at::Tensor> bias_;
};

}  // namespace freqfusion
