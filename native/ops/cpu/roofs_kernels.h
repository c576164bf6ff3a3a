#pragma once

#include <stdint.h>

#include "native/ops/cpu/isa.h"

namespace freqfusion::cpu {

constexpr int64_t kRoofAlignment = 4096;
// Rounds of the multiply-add chains: about 20 ms with AVX-512.
constexpr int64_t kRoofRounds = 12 << 20;

// `count` floats, a multiple of 64; both pointers aligned to a cache line.
FREQFUSION_DECLARE_KERNEL(void, roof_copy, (float* to, const float* from, int64_t count))
// The same past the caches.
FREQFUSION_DECLARE_KERNEL(void, roof_copy_stream, (float* to, const float* from, int64_t count))
// Chains of multiply-adds in registers; the result only keeps the compiler from leaving them out. Reads one float.
FREQFUSION_DECLARE_KERNEL(float, roof_fma, (const float* seed, int64_t rounds))
// Floating-point operations of roof_fma.
FREQFUSION_DECLARE_KERNEL(int64_t, roof_fma_flops, (int64_t rounds))

}  // namespace freqfusion::cpu
