#include "native/modules/fused_conv.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/relu.h>

#include "native/modules/onednn.h"

namespace freqfusion {
namespace {

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

at::Tensor finish(at::Tensor map, Activation activation) {
  return activation == Activation::relu ? at::relu_(map) : map;
}

int64_t pixels_of(const at::Tensor& map) { return map.size(0) * map.size(2) * map.size(3); }

}  // namespace

FusedConv::FusedConv(const ConvWeights& weights, const Conv2dOptions& options, at::ScalarType dtype,
                     Activation activation)
    : options_(options), activation_(activation), onednn_(onednn::supported(dtype, weights.weight.device())) {
  bias_ = weights.bias.to(dtype).contiguous();
  weight_ = weights.weight.to(dtype).contiguous(onednn_ ? at::MemoryFormat::Contiguous : kChannelsLast);
}

at::Tensor FusedConv::forward(const at::Tensor& x) const { return run(x, {}, false); }

at::Tensor FusedConv::forward(const at::Tensor& x, const at::Tensor& residual) const { return run(x, residual, false); }

at::Tensor FusedConv::forward_onto(at::Tensor residual, const at::Tensor& x) const {
  return run(x, residual, residual.is_contiguous(kChannelsLast));
}

at::Tensor FusedConv::run(const at::Tensor& x, const at::Tensor& residual, bool overwrite) const {
  if (onednn_ && x.numel() > 0) {
    const at::Tensor map = x.contiguous(kChannelsLast);
    const at::Tensor& packed = packed_for(map);
    if (!residual.defined()) return onednn::conv(map, packed, bias_, options_, activation_);
    if (!overwrite) {
      return onednn::conv_add(map, residual.contiguous(kChannelsLast), packed, bias_, options_, activation_);
    }
    onednn::conv_add_(residual, map, packed, bias_, options_, activation_);
    return residual;
  }
  const at::Tensor weight = weight_.is_mkldnn() ? weight_.to_dense() : weight_;
  at::Tensor result = at::conv2d(x.contiguous(kChannelsLast), weight, bias_, options_.stride, options_.padding,
                                 options_.dilation, options_.groups);
  if (residual.defined()) result.add_(residual);
  return finish(std::move(result), activation_);
}

// oneDNN's choice depends on the size of the map. Packed anew only for a larger one than before: for smaller ones,
// the levels of a pyramid, a layout that is not quite theirs costs less than turning it round every time.
const at::Tensor& FusedConv::packed_for(const at::Tensor& x) const {
  const int64_t pixels = pixels_of(x);
  if (pixels > packed_pixels_) {
    weight_ = onednn::pack(weight_, options_, x.sizes());
    packed_pixels_ = pixels;
  }
  return weight_;
}

const FusedConv& FusedConv2d::fused() const {
  if (!fused_) fused_.emplace(weights_of(*this), options(), compute_type(weight.scalar_type()), activation_);
  return *fused_;
}

Linear::Linear(int64_t in, int64_t out, Activation activation) : activation_(activation) {
  register_parameter("weight", &weight, {out, in});
  register_parameter("bias", &bias, {out});
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  const at::ScalarType dtype = compute_type(weight.scalar_type());
  if (!wide_) wide_.emplace(Wide{weight.to(dtype), bias.to(dtype)});
  return finish(at::addmm(wide_->bias, x, wide_->weight.t()), activation_);
}

}  // namespace freqfusion
