#include "native/ops/cpu/roofs_kernels.h"

#include "native/ops/cpu/vec.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

// A core starts two multiply-adds a cycle and ends each four cycles later: eight chains keep it busy, twelve do so
// with room to spare, and with their two operands still fit the 16 registers of AVX2.
constexpr int kChains = 12;
constexpr int kUnroll = 4;  // vectors a turn of the copies

}  // namespace

int64_t roof_fma_flops(int64_t rounds) { return rounds * kChains * Vec<float>::size * 2; }

float roof_fma(const float* seed, int64_t rounds) {
  // The factor is read from memory: a constant one would let the compiler fold the chains. Values stay near 1.
  const Vec<float> factor = broadcast(0.5f * seed[0]);
  const Vec<float> addend = broadcast(0.5f);
  Vec<float> chain[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(0.1f * static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chain[i] = fma(chain[i], factor, addend);
  }
  Vec<float> total = zero<float>();
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) total = total + chain[i];
  return sum(total);
}

void roof_copy(float* to, const float* from, int64_t count) {
  constexpr int step = Vec<float>::size * kUnroll;
  for (int64_t at = 0; at < count; at += step) {
    Vec<float> values[kUnroll];
#pragma GCC unroll 4
    for (int i = 0; i < kUnroll; ++i) values[i] = load_aligned(from + at + i * Vec<float>::size);
#pragma GCC unroll 4
    for (int i = 0; i < kUnroll; ++i) store_aligned(to + at + i * Vec<float>::size, values[i]);
    // Without it the compiler makes a memcpy of the loop, which streams by itself.
    asm volatile("" ::: "memory");
  }
}

void roof_copy_stream(float* to, const float* from, int64_t count) {
  constexpr int step = Vec<float>::size * kUnroll;
  for (int64_t at = 0; at < count; at += step) {
    Vec<float> values[kUnroll];
#pragma GCC unroll 4
    for (int i = 0; i < kUnroll; ++i) values[i] = load_aligned(from + at + i * Vec<float>::size);
#pragma GCC unroll 4
    for (int i = 0; i < kUnroll; ++i) store_stream(to + at + i * Vec<float>::size, values[i]);
  }
  stream_fence();
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
