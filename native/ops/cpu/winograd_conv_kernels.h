#pragma once

#include <stdint.h>

#include "native/ops/cpu/isa.h"

namespace freqfusion::cpu {

// Maps with the channels of a pixel side by side; steps in elements.
struct WinogradConvArgs {
  const float *x, *weight;
  const float *bias, *residual;  // null where there is none
  float* output;
  int64_t x_image, x_row, x_pixel;
  int64_t residual_image, residual_row, residual_pixel;
  int64_t output_image, output_row, output_pixel;
  int64_t height, width, in, out;
  int64_t tile_rows, tile_columns;  // of 4 x 4 outputs, of one image
  bool relu;
};

// Tiles begin .. end, counted row by row over all images. `scratch` from a multiple of 64 bytes on.
FREQFUSION_DECLARE_KERNEL(void, winograd_conv_forward,
                          (const WinogradConvArgs& args, int64_t begin, int64_t end, float* scratch))

}  // namespace freqfusion::cpu
