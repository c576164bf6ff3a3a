#pragma once

// The depthwise convolutions of strip_convs and conv_mlp on raw pointers. Compiled by nvcc; the glue calls these.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

// Maps of one size, their channels dense. Weights in panels of 16 channels, dense: tap t of channel c of a convolution
// lies at [c / 16][first_tap + t][c % 16], its bias at [c / 16][first_bias][c % 16].
struct DepthwiseArgs {
  Storage storage;
  int64_t batch, channels, height, width;
  const void *weight, *bias;
  int64_t taps, biases;  // rows of a panel
  Map x, output;
  Map strips[3];  // of strip_convs: what its horizontal strips of 7, 11 and 21 make of the 5x5's result
};

// Each returns null, or what went wrong. All sizes are at least 1.
// output = gelu(3x3 of x).
const char* depthwise_gelu(const DepthwiseArgs& args, void* stream);
// output = 5x5 of x; strips from that in `x`; output = x + the vertical strips of `strips`: one after the other.
const char* strips_square(const DepthwiseArgs& args, void* stream);
const char* strips_horizontal(const DepthwiseArgs& args, void* stream);
const char* strips_vertical(const DepthwiseArgs& args, void* stream);

}  // namespace freqfusion::cuda
