#pragma once

#include "native/ops/cuda/pointwise_conv.h"

namespace freqfusion::cuda {

FREQFUSION_HD float error_function(float x) { return erff(x); }
FREQFUSION_HD double error_function(double x) { return erf(x); }

// x / 2 * (1 + erf(x / sqrt(2))); -infinity gives NaN, as in PyTorch.
template <typename A>
FREQFUSION_HD A gelu(A x) {
  return x * A(0.5) * (A(1) + error_function(x * A(0.70710678118654752440)));
}

// NaN stays NaN.
template <typename A>
FREQFUSION_HD A relu(A x) {
  return x < 0 ? A(0) : x;
}

// A thread owns one pixel and `width` neighbouring channels.
template <typename S, typename I, bool packed>
struct PointwiseEpilogue {
  using A = Accumulator<S>;
  static constexpr int width = packed ? kPack<S> : 1;
  S* y;
  const S *factor, *residual, *residual_scale;
  I threads, blocks, channels, factor_pixel, residual_pixel;
  Activation activation;

  explicit PointwiseEpilogue(const EpilogueArgs& args)
      : y(static_cast<S*>(args.y)),
        factor(static_cast<const S*>(args.factor)),
        residual(static_cast<const S*>(args.residual)),
        residual_scale(static_cast<const S*>(args.residual_scale)),
        blocks(static_cast<I>(args.channels / width)),
        channels(static_cast<I>(args.channels)),
        factor_pixel(static_cast<I>(args.factor_pixel)),
        residual_pixel(static_cast<I>(args.residual_pixel)),
        activation(args.activation) {
    threads = static_cast<I>(args.pixels) * blocks;
  }

  FREQFUSION_HD static void load(const S* from, A* values) { read_block<packed, width>(from, I(1), width, values); }

  FREQFUSION_HD void operator()(I thread) const {
    const I channel = thread % blocks * width, pixel = thread / blocks;
    S* at = y + pixel * channels + channel;
    A values[width], others[width], scales[width];
    load(at, values);
    FREQFUSION_UNROLL
    for (int v = 0; v < width; ++v) {
      if (activation == Activation::relu) values[v] = relu(values[v]);
      if (activation == Activation::gelu) values[v] = gelu(values[v]);
    }
    if (factor != nullptr) {
      load(factor + pixel * factor_pixel + channel, others);
      FREQFUSION_UNROLL
      for (int v = 0; v < width; ++v) values[v] *= others[v];
    }
    if (residual != nullptr) {
      load(residual + pixel * residual_pixel + channel, others);
      FREQFUSION_UNROLL
      for (int v = 0; v < width; ++v) scales[v] = 1;
      if (residual_scale != nullptr) load(residual_scale + channel, scales);
      FREQFUSION_UNROLL
      for (int v = 0; v < width; ++v) values[v] += others[v] * scales[v];
    }
    write_block<packed, width>(at, I(1), width, values);
  }
};

}  // namespace freqfusion::cuda
