#include "native/modules/folding.h"

#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include "native/ops/panels.h"

namespace freqfusion {
namespace {

at::Tensor column(const at::Tensor& values) { return values.view({-1, 1, 1, 1}); }

}  // namespace

ChannelAffine affine_of(const BatchNorm2d& norm) {
  const at::Tensor scale = norm.weight.to(at::kDouble).div(norm.running_var.to(at::kDouble).add(norm.eps()).sqrt());
  return {scale, norm.bias.to(at::kDouble).sub(norm.running_mean.to(at::kDouble).mul(scale))};
}

ConvWeights weights_of(const Conv2d& conv) {
  const at::Tensor weight = conv.weight.to(at::kDouble);
  return {weight, conv.bias.defined() ? conv.bias.to(at::kDouble) : at::zeros({weight.size(0)}, weight.options())};
}

ConvWeights after(const ChannelAffine& affine, const ConvWeights& conv) {
  const at::Tensor taps = conv.weight.sum({2, 3});
  return {conv.weight.mul(affine.scale.view({1, -1, 1, 1})), conv.bias.add(at::matmul(taps, affine.shift))};
}

ConvWeights before(const ConvWeights& conv, const ChannelAffine& affine) {
  return {conv.weight.mul(column(affine.scale)), conv.bias.mul(affine.scale).add(affine.shift)};
}

PackedPointwise::PackedPointwise(const ConvWeights& conv, at::ScalarType dtype, bool bias)
    : out_channels_(conv.weight.size(0)), weight_(pack_matrix(conv.weight.to(dtype))) {
  if (bias) bias_ = pack_vector(conv.bias.to(dtype));
}

at::Tensor PackedPointwise::forward(const at::Tensor& x, const PointwiseConvExtras& extras) const {
  return pointwise_conv(x, weight_, bias_, out_channels_, extras);
}

}  // namespace freqfusion
