#pragma once

#include <cstdint>
#include <vector>

#include "native/ops/export.h"

namespace freqfusion {

// What this machine can do at most, with as many threads as an operator gets; one number a repeat.
struct RoofSamples {
  std::vector<double> copy;    // GB/s read and written, plain stores
  std::vector<double> stream;  // GB/s read and written, stores past the caches
  std::vector<double> fma;     // GFLOP/s float32, a fused multiply-add counted as two
};

// Copies `bytes` (make it several times the last-level cache) `repeats` times in both ways, and runs independent
// chains of multiply-adds as often. Uses the instruction set of the other kernels, so FREQFUSION_ISA lowers it too.
FREQFUSION_API RoofSamples measure_roofs(int64_t bytes, int repeats);

}  // namespace freqfusion
