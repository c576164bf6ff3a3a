#include "native/modules/fused_conv.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/relu.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "native/modules/onednn.h"
#include "native/ops/winograd_conv.h"

namespace freqfusion {
namespace {

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

at::Tensor finish(at::Tensor map, Activation activation) {
  return activation == Activation::relu ? at::relu_(map) : map;
}

int64_t pixels_of(const at::Tensor& map) { return map.size(0) * map.size(2) * map.size(3); }

std::string_view name_of(Activation activation) { return activation == Activation::relu ? "relu" : "none"; }

// Below this many channels the transforms cost what the multiplications save; above this many weights, those of the
// last stage of a ResNet, maps are small, and four times the weights would be most of the network's memory.
constexpr int64_t kLeastChannels = 64, kMostWeights = 512 * 256;

bool suits_winograd(const at::Tensor& weight, const Conv2dOptions& options, at::ScalarType dtype) {
  const bool plain = options.kernel == square(3) && options.stride == square(1) && options.padding == square(1) &&
                     options.dilation == square(1) && options.groups == 1;
  return plain && dtype == at::kFloat && weight.device().is_cpu() && winograd_conv_pays() &&
         std::min(weight.size(0), weight.size(1)) >= kLeastChannels && weight.size(0) * weight.size(1) <= kMostWeights;
}

// From this many channels on a 1x1 convolution is computed as a matrix product, whose sums are formed block by block:
// half the rounding error of oneDNN's, which adds thousands of products one after the other. What a deep network says
// of its last maps depends on it.
constexpr int64_t kLongSum = 512;

bool suits_matrix(const at::Tensor& weight, const Conv2dOptions& options, at::ScalarType dtype) {
  return options.kernel == square(1) && options.padding == square(0) && options.groups == 1 && dtype == at::kFloat &&
         weight.device().is_cpu() && weight.size(1) >= kLongSum;
}

}  // namespace

FusedConv::FusedConv(const ConvWeights& weights, const Conv2dOptions& options, at::ScalarType dtype,
                     Activation activation)
    : options_(options),
      activation_(activation),
      out_channels_(weights.weight.size(0)),
      bias_(weights.bias.to(dtype).contiguous()) {
  if (suits_winograd(weights.weight, options, dtype)) {
    method_ = Method::winograd;
    weight_ = winograd_weight(weights.weight);
  } else if (suits_matrix(weights.weight, options, dtype)) {
    method_ = Method::matrix;
    weight_ = weights.weight.to(dtype).flatten(1).contiguous();
  } else if (onednn::supported(dtype, weights.weight.device())) {
    method_ = Method::onednn;
    weight_ = weights.weight.to(dtype).contiguous();
  } else {
    weight_ = weights.weight.to(dtype).contiguous(kChannelsLast);
  }
}

at::Tensor FusedConv::forward(const at::Tensor& x) const { return run(x, {}, false); }

at::Tensor FusedConv::forward(const at::Tensor& x, const at::Tensor& residual) const { return run(x, residual, false); }

at::Tensor FusedConv::forward_onto(at::Tensor residual, const at::Tensor& x) const {
  return run(x, residual, residual.is_contiguous(kChannelsLast));
}

at::Tensor FusedConv::run(const at::Tensor& x, const at::Tensor& residual, bool overwrite) const {
  const at::Tensor map = x.contiguous(kChannelsLast);
  if (method_ == Method::winograd) return run_winograd(map, residual, overwrite);
  if (method_ == Method::onednn && map.numel() > 0) return run_onednn(map, residual, overwrite);
  at::Tensor result = method_ == Method::matrix ? run_matrix(map) : run_libtorch(map);
  if (residual.defined()) result.add_(residual);
  return finish(std::move(result), activation_);
}

at::Tensor FusedConv::run_winograd(const at::Tensor& x, const at::Tensor& residual, bool overwrite) const {
  const at::Tensor output =
      overwrite ? residual : at::empty({x.size(0), out_channels_, x.size(2), x.size(3)}, x.options(), kChannelsLast);
  const auto sum = residual.defined() ? std::optional<at::Tensor>(residual) : std::nullopt;
  winograd_conv_out(output, x, weight_, bias_, name_of(activation_), sum);
  return output;
}

at::Tensor FusedConv::run_onednn(const at::Tensor& x, const at::Tensor& residual, bool overwrite) const {
  // oneDNN's choice of a layout depends on the size of the map. Packed anew only for a larger one than before: for
  // smaller ones, the levels of a pyramid, a layout that is not quite theirs costs less than packing in turns.
  if (pixels_of(x) > packed_pixels_) {
    weight_ = onednn::pack(weight_, options_, x.sizes());
    packed_pixels_ = pixels_of(x);
  }
  if (!residual.defined()) return onednn::conv(x, weight_, bias_, options_, activation_);
  if (!overwrite) {
    return onednn::conv_add(x, residual.contiguous(kChannelsLast), weight_, bias_, options_, activation_);
  }
  onednn::conv_add_(residual, x, weight_, bias_, options_, activation_);
  return residual;
}

at::Tensor FusedConv::run_matrix(const at::Tensor& x) const {
  const at::Tensor read = x.slice(2, 0, std::nullopt, options_.stride[0]).slice(3, 0, std::nullopt, options_.stride[1]);
  const at::Tensor rows = read.permute({0, 2, 3, 1}).reshape({-1, x.size(1)});
  return at::addmm(bias_, rows, weight_.t())
      .view({read.size(0), read.size(2), read.size(3), out_channels_})
      .permute({0, 3, 1, 2});
}

at::Tensor FusedConv::run_libtorch(const at::Tensor& x) const {
  // An empty map does not go to oneDNN, whose weight may have been packed already.
  const at::Tensor weight = weight_.is_mkldnn() ? weight_.to_dense() : weight_;
  return at::conv2d(x, weight, bias_, options_.stride, options_.padding, options_.dilation, options_.groups);
}

const FusedConv& FusedConv2d::fused() const {
  if (!fused_) fused_.emplace(weights_of(*this), options(), compute_type(weight), activation_);
  return *fused_;
}

Linear::Linear(int64_t in, int64_t out, Activation activation) : activation_(activation) {
  register_parameter("weight", &weight, {out, in});
  register_parameter("bias", &bias, {out});
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  const at::ScalarType dtype = compute_type(weight);
  if (!wide_) wide_.emplace(Wide{weight.to(dtype), bias.to(dtype)});
  return finish(at::addmm(wide_->bias, x, wide_->weight.t()), activation_);
}

}  // namespace freqfusion
