#pragma once

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

// Maps of pixels side by side, `x_pixel` and `channels` elements apart, channels next to each other.
struct ConvMlpArgs {
  Storage storage;  // f32 or f64
  const void *x, *fc1, *fc1_bias, *depthwise, *depthwise_bias, *fc2, *fc2_bias;
  void* output;
  int64_t x_pixel, channels, hidden, height, width;
  int64_t step;  // rows of the output that are finished together
};

// Values of the working memory that conv_mlp_forward needs.
inline int64_t conv_mlp_scratch(const ConvMlpArgs& args) {
  const int64_t row = (args.width + 2) * 16, panels = (args.hidden + 15) / 16;
  // Rows of the hidden map before and after its convolution, a row of zeros, a tile that may be read past the end, and
  // where the pixels of the ring lie (64-bit numbers).
  const int64_t ring = args.step + 2;
  return ring * row * panels + args.step * args.width * 16 * panels + row + 8 * 16 + ring * args.width * 2;
}

// Rows begin .. end of all images, counted through.
FREQFUSION_DECLARE_KERNEL(void, conv_mlp_forward, (const ConvMlpArgs& args, int64_t begin, int64_t end, void* scratch))

}  // namespace freqfusion::cpu
