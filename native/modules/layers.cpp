#include "native/modules/layers.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "native/ops/group_norm.h"

namespace freqfusion {

Conv2d::Conv2d(int64_t in, int64_t out, const Conv2dOptions& options) : options_(options) {
  register_parameter("weight", &weight, {out, in / options.groups, options.kernel[0], options.kernel[1]});
  if (options.bias) register_parameter("bias", &bias, {out});
}

at::Tensor Conv2d::forward(const at::Tensor& x) const {
  return at::conv2d(x, weight, bias, options_.stride, options_.padding, options_.dilation, options_.groups);
}

BatchNorm2d::BatchNorm2d(int64_t channels, double eps) : eps_(eps) {
  register_parameter("weight", &weight, {channels});
  register_parameter("bias", &bias, {channels});
  register_buffer("running_mean", &running_mean, at::zeros({channels}));
  register_buffer("running_var", &running_var, at::ones({channels}));
  register_buffer("num_batches_tracked", &num_batches_tracked, at::zeros({}, at::TensorOptions().dtype(at::kLong)));
  weight.fill_(1);
}

at::Tensor BatchNorm2d::forward(const at::Tensor& x) const {
  return at::batch_norm(x, weight, bias, running_mean, running_var, false, 0.1, eps_, false);
}

GroupNorm::GroupNorm(int64_t groups, int64_t channels, double eps) : groups_(groups), eps_(eps) {
  register_parameter("weight", &weight, {channels});
  register_parameter("bias", &bias, {channels});
  weight.fill_(1);
}

at::Tensor GroupNorm::forward(const at::Tensor& x) const {
  // libtorch would bring a channels-last map on a GPU into planes, and the next convolution back.
  if (x.is_cuda() && !x.requires_grad()) {
    const at::Tensor output = at::empty_like(x);
    group_norm_out(output, x, groups_, weight, bias, eps_);
    return output;
  }
  const at::ScalarType dtype = x.scalar_type();
  return at::group_norm(x, groups_, weight.to(dtype), bias.to(dtype), eps_, false);
}

LayerNorm::LayerNorm(int64_t channels, double eps) : eps_(eps) {
  register_parameter("weight", &weight, {channels});
  register_parameter("bias", &bias, {channels});
  weight.fill_(1);
}

at::Tensor LayerNorm::forward(const at::Tensor& x) const {
  const at::Tensor pixels = x.permute({0, 2, 3, 1});
  const at::ScalarType dtype = x.scalar_type();
  return at::layer_norm(pixels, weight.sizes(), weight.to(dtype), bias.to(dtype), eps_, false).permute({0, 3, 1, 2});
}

namespace {

struct Fans {
  double in, out;
};

Fans fans_of(const at::Tensor& weight) {
  double window = 1;
  for (int64_t dim = 2; dim < weight.dim(); ++dim) window *= static_cast<double>(weight.size(dim));
  return {static_cast<double>(weight.size(1)) * window, static_cast<double>(weight.size(0)) * window};
}

at::Tensor draft(const at::Tensor& tensor) { return at::empty(tensor.sizes(), at::TensorOptions().dtype(at::kFloat)); }

}  // namespace

at::Generator make_generator(uint64_t seed) { return at::make_generator<at::CPUGeneratorImpl>(seed); }

void fill_constant(at::Tensor& tensor, double value) { tensor.fill_(value); }

void fill_normal(at::Tensor& tensor, double mean, double standard_deviation, at::Generator& generator) {
  tensor.copy_(draft(tensor).normal_(mean, standard_deviation, generator));
}

void fill_uniform(at::Tensor& tensor, double low, double high, at::Generator& generator) {
  tensor.copy_(draft(tensor).uniform_(low, high, generator));
}

void fill_xavier_uniform(at::Tensor& weight, at::Generator& generator) {
  const Fans fans = fans_of(weight);
  const double bound = std::sqrt(6.0 / (fans.in + fans.out));
  fill_uniform(weight, -bound, bound, generator);
}

void fill_conv_default(Conv2d& conv, at::Generator& generator) {
  const double bound = 1.0 / std::sqrt(fans_of(conv.weight).in);
  fill_uniform(conv.weight, -bound, bound, generator);
  if (conv.bias.defined()) fill_uniform(conv.bias, -bound, bound, generator);
}

void fill_conv_xavier(Conv2d& conv, at::Generator& generator) {
  fill_xavier_uniform(conv.weight, generator);
  if (conv.bias.defined()) fill_constant(conv.bias, 0);
}

void fill_conv_normal(Conv2d& conv, double standard_deviation, at::Generator& generator) {
  fill_normal(conv.weight, 0, standard_deviation, generator);
  if (conv.bias.defined()) fill_constant(conv.bias, 0);
}

}  // namespace freqfusion
