#pragma once

#include <stdint.h>

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

struct GroupNormArgs {
  Storage storage = Storage::f32;  // of x; the output is float, or double for f64
  int64_t channels = 0, height = 0, width = 0;
  Map x = {}, output = {};
  double* moments = nullptr;      // [image][row][channel]{mean, sum of the squared distances from it}
  const double* scale = nullptr;  // [image][channel]: output = x * scale + shift
  const double* shift = nullptr;
};

// Bytes of scratch that each thread needs, from a multiple of 64 on.
FREQFUSION_DECLARE_KERNEL(int64_t, group_norm_scratch_bytes, (const GroupNormArgs&))
// Both take rows [begin, end), counted through all images.
FREQFUSION_DECLARE_KERNEL(void, group_norm_moments, (const GroupNormArgs&, int64_t begin, int64_t end, void* scratch))
FREQFUSION_DECLARE_KERNEL(void, group_norm_apply, (const GroupNormArgs&, int64_t begin, int64_t end, void* scratch))

}  // namespace freqfusion::cpu
