#pragma once

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

enum class Activation { none, relu, gelu };

// Maps with the channels of a pixel side by side and the pixels `..._pixel` elements apart.
struct PointwiseConvArgs {
  Storage storage;  // f32 or f64
  const void *x, *weight;
  const void *bias, *factor, *residual, *residual_scale;  // null where there is none
  void* output;
  int64_t x_pixel, factor_pixel, residual_pixel, output_pixel;
  int64_t in, out;
  Activation activation;
};

// Pixels begin .. end.
FREQFUSION_DECLARE_KERNEL(void, pointwise_conv_forward, (const PointwiseConvArgs& args, int64_t begin, int64_t end))

}  // namespace freqfusion::cpu
