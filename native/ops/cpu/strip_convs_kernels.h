#pragma once

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

struct StripConvsArgs {
  Storage storage;  // f32 or f64
  const void *x, *weight, *bias;
  void* output;  // pixels of `channels` values side by side
  int64_t x_pixel, channels, height, width;
};

// Rows begin .. end of one panel (16 channels) of one image.
struct StripConvsTask {
  int64_t image, panel, begin, end;
};

// Values of the working memory: see the rings in the kernel.
inline int64_t strip_convs_scratch(int64_t width) {
  return 16 * (5 * (width + 4) + 14 * (width + 20) + (10 + 14 + 24) * width + width + 20);
}

FREQFUSION_DECLARE_KERNEL(void, strip_convs_forward,
                          (const StripConvsArgs& args, const StripConvsTask& task, void* scratch))

}  // namespace freqfusion::cpu
