#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <array>

#include "native/modules/module.h"

namespace freqfusion {

using Pair = std::array<int64_t, 2>;  // (rows, columns)
inline Pair square(int64_t side) { return {side, side}; }

struct Conv2dOptions {
  Pair kernel = {1, 1};
  Pair stride = {1, 1};
  Pair padding = {0, 0};
  Pair dilation = {1, 1};
  int64_t groups = 1;
  bool bias = true;
};

// Convolution with state `weight` [out, in / groups, kh, kw] and, with bias, `bias` [out]; zeros until loaded.
class Conv2d : public Module {
 public:
  Conv2d(int64_t in, int64_t out, const Conv2dOptions& options = {});
  at::Tensor forward(const at::Tensor& x) const;

  const Conv2dOptions& options() const { return options_; }

  int64_t in_channels() const { return weight.size(1) * options_.groups; }
  int64_t out_channels() const { return weight.size(0); }

  at::Tensor weight;
  at::Tensor bias;  // undefined without one

 private:
  Conv2dOptions options_;
};

// Two convolutions of one map as one: what a GPU, which pays for every launch, computes in place of both. The outputs
// of the first, then those of the second.
struct JoinedConv {
  at::Tensor weight, bias;
};

// Batch normalisation with its running statistics (inference). State: `weight`, `bias`, `running_mean`,
// `running_var` [channels] and the int64 scalar `num_batches_tracked`. Eps 1e-5. The identity until loaded.
class BatchNorm2d final : public Module {
 public:
  explicit BatchNorm2d(int64_t channels, double eps = 1e-5);
  at::Tensor forward(const at::Tensor& x) const;
  double eps() const { return eps_; }

  at::Tensor weight, bias, running_mean, running_var, num_batches_tracked;

 private:
  double eps_;
};

// Group normalisation with an affine `weight` 1 and `bias` 0 [channels]. Eps 1e-5. Computed in the dtype of the map.
class GroupNorm final : public Module {
 public:
  GroupNorm(int64_t groups, int64_t channels, double eps = 1e-5);
  at::Tensor forward(const at::Tensor& x) const;

  int64_t groups() const { return groups_; }
  double eps() const { return eps_; }

  at::Tensor weight, bias;

 private:
  int64_t groups_;
  double eps_;
};

// Layer normalisation over the channels of [N, C, H, W], pixel by pixel; `weight` 1 and `bias` 0 [channels].
// The result lies in channels-last memory. Eps 1e-5. Computed in the dtype of the map.
class LayerNorm final : public Module {
 public:
  explicit LayerNorm(int64_t channels, double eps = 1e-5);
  at::Tensor forward(const at::Tensor& x) const;

  at::Tensor weight, bias;

 private:
  double eps_;
};

// Initialisers. Values are drawn in float32 on the CPU and then copied, so that a seed gives the same weights on
// every device and, up to rounding, in every dtype.
at::Generator make_generator(uint64_t seed);
void fill_constant(at::Tensor& tensor, double value);
void fill_normal(at::Tensor& tensor, double mean, double standard_deviation, at::Generator& generator);
void fill_uniform(at::Tensor& tensor, double low, double high, at::Generator& generator);
// Uniform in +-sqrt(6 / (fan_in + fan_out)), for a convolution's or a matrix's weight (Glorot and Bengio, 2010).
void fill_xavier_uniform(at::Tensor& weight, at::Generator& generator);
// PyTorch's own start of a convolution: weight and bias uniform in +-1 / sqrt(fan_in).
void fill_conv_default(Conv2d& conv, at::Generator& generator);
// Xavier uniform weight and zero bias; normal(0, deviation) weight and zero bias.
void fill_conv_xavier(Conv2d& conv, at::Generator& generator);
void fill_conv_normal(Conv2d& conv, double standard_deviation, at::Generator& generator);

}  // namespace freqfusion
