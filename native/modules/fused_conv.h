#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "native/modules/activation.h"
#include "native/modules/folding.h"
#include "native/modules/layers.h"

// Convolutions and matrices as inference computes them: what follows in the network (bias, folded norm, residual,
// ReLU) is part of the same pass, weights lie as the processor wants them, and maps stay in channels-last memory.

namespace freqfusion {

// A convolution with its weights folded (folding.h), made once after the state changed.
class FusedConv {
 public:
  FusedConv() = default;
  // `weights` on the device of the network; `dtype` is what the network computes in (compute_type).
  FusedConv(const ConvWeights& weights, const Conv2dOptions& options, at::ScalarType dtype,
            Activation activation = Activation::none);

  // x [N, in, H, W] of `dtype`, any layout -> activation(conv(x) + residual), in channels-last memory. `residual` has
  // the shape of the result; undefined adds nothing.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& residual = {}) const;

 private:
  class Plan;
  std::shared_ptr<const Plan> plan_;
};

// Conv2d with the activation that follows it, computed by a FusedConv: the state is Conv2d's, `weight` and `bias`.
// A 16-bit network computes in float32 (compute_type): x comes in that type, and so does the result.
class FusedConv2d final : public Conv2d {
 public:
  FusedConv2d(int64_t in, int64_t out, const Conv2dOptions& options = {}, Activation activation = Activation::none)
      : Conv2d(in, out, options), activation_(activation) {}
  at::Tensor forward(const at::Tensor& x, const at::Tensor& residual = {}) const;

  // Drops what was derived from the weights: to be called where they are filled other than by loading (fill_conv_*).
  void changed() override { fused_.reset(); }

 private:
  const Activation activation_;
  mutable std::optional<FusedConv> fused_;
};

// Fully connected layer with state `weight` [out, in] and `bias` [out], and the activation that follows it.
// Computes in compute_type, as FusedConv2d does. Zeros until loaded.
class Linear final : public Module {
 public:
  Linear(int64_t in, int64_t out, Activation activation = Activation::none);
  // x [N, in] -> [N, out].
  at::Tensor forward(const at::Tensor& x) const;

  void changed() override;

  at::Tensor weight, bias;

 private:
  struct Packed {
    at::Tensor weight, bias;
    bool reordered = false;
  };
  const Activation activation_;
  mutable std::optional<Packed> packed_;
};

}  // namespace freqfusion
