#pragma once

// What follows a matrix product in pointwise_conv and conv_mlp, on raw pointers. Compiled by nvcc; the glue beside it
// calls this.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

enum class Activation { none, relu, gelu };

// y = act(y) * factor + residual * residual_scale, in place. Maps [pixels, channels] with dense channels.
struct EpilogueArgs {
  Storage storage;
  int64_t pixels, channels;
  Activation activation;
  void* y;                        // dense
  const void *factor, *residual;  // null: none
  int64_t factor_pixel, residual_pixel;
  const void* residual_scale;  // [channels]; null: 1
};

// Returns null, or what went wrong. All sizes are at least 1.
const char* pointwise_epilogue(const EpilogueArgs& args, void* stream);

}  // namespace freqfusion::cuda
