#pragma once

#include <stdint.h>

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

struct SamplingOffsetArgs {
  Storage storage = Storage::f32;               // f32 or f64, of all maps
  int64_t channels = 0, height = 0, width = 0;  // of the offset
  bool scaled = true;
  Map hr = {}, lr = {}, output = {};
  const double* init_pos = nullptr;  // [channels]
};

// Rows [begin, end), counted through all images.
FREQFUSION_DECLARE_KERNEL(void, sampling_offset_forward, (const SamplingOffsetArgs&, int64_t begin, int64_t end))

}  // namespace freqfusion::cpu
