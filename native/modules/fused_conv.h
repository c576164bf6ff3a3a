#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
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

  // x [N, in, H, W] of `dtype`, any layout -> activation(conv(x)), in channels-last memory.
  at::Tensor forward(const at::Tensor& x) const;
  // activation(conv(x) + residual); the residual has the shape of the result.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& residual) const;
  // The same, written over the residual where it lies in channels-last memory: for one that nobody reads afterwards.
  at::Tensor forward_onto(at::Tensor residual, const at::Tensor& x) const;

 private:
  // How the convolution is computed. On the CPU in float32: Winograd's way (3x3 of stride 1), as a matrix product (1x1
  // with long sums), or by oneDNN. Everything else: by what libtorch has for the device and dtype.
  enum class Method { winograd, matrix, onednn, libtorch };

  at::Tensor run(const at::Tensor& x, const at::Tensor& residual, bool overwrite) const;
  at::Tensor run_winograd(const at::Tensor& x, const at::Tensor& residual, bool overwrite) const;
  at::Tensor run_onednn(const at::Tensor& x, const at::Tensor& residual, bool overwrite) const;
  at::Tensor run_matrix(const at::Tensor& x) const;
  at::Tensor run_libtorch(const at::Tensor& x) const;

  Conv2dOptions options_;
  Activation activation_ = Activation::none;
  Method method_ = Method::libtorch;
  int64_t out_channels_ = 0;
  at::Tensor bias_;
  mutable at::Tensor weight_;          // as the method takes it
  mutable int64_t packed_pixels_ = 0;  // of the map that oneDNN's weight was packed for
};

// Conv2d with the activation that follows it, computed by a FusedConv: the state is Conv2d's, `weight` and `bias`.
// A 16-bit network computes in float32 (compute_type): x comes in that type, and so does the result.
class FusedConv2d final : public Conv2d {
 public:
  FusedConv2d(int64_t in, int64_t out, const Conv2dOptions& options = {}, Activation activation = Activation::none)
      : Conv2d(in, out, options), activation_(activation) {}
  at::Tensor forward(const at::Tensor& x) const { return fused().forward(x); }
  at::Tensor forward(const at::Tensor& x, const at::Tensor& residual) const { return fused().forward(x, residual); }

  // Drops what was derived from the weights: to be called where they are filled other than by loading (fill_conv_*).
  void changed() override { fused_.reset(); }

 private:
  const FusedConv& fused() const;

  const Activation activation_;
  mutable std::optional<FusedConv> fused_;
};

// Fully connected layer with state `weight` [out, in] and `bias` [out], and the activation that follows it. Computes
// in compute_type, as FusedConv2d does. Zeros until loaded.
class Linear final : public Module {
 public:
  Linear(int64_t in, int64_t out, Activation activation = Activation::none);
  // x [N, in] -> [N, out].
  at::Tensor forward(const at::Tensor& x) const;

  // As of FusedConv2d.
  void changed() override { wide_.reset(); }

  at::Tensor weight, bias;

 private:
  struct Wide {
    at::Tensor weight, bias;
  };
  const Activation activation_;
  mutable std::optional<Wide> wide_;  // in compute_type, where the state is not
};

}  // namespace freqfusion
