#pragma once

#include <stdint.h>

namespace freqfusion::cpu {

enum class Storage { f32, f64, f16, bf16 };

// A [N, C, H, W] tensor as the kernels see it: any layout, steps counted in elements.
struct Map {
  void* data;
  int64_t image, channel, row, column;
};

}  // namespace freqfusion::cpu
