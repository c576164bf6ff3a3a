#pragma once

#include "native/ops/cpu/vec.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

#if defined(__AVX2__)
// The upper half of a vector added to its lower half, where vectors are wider than 32 bytes.
FREQFUSION_INLINE __m256 fold(Vec<float> a) {
#if defined(__AVX512F__)
  return _mm256_add_ps(_mm512_castps512_ps256((__m512)a.v), _mm512_extractf32x8_ps((__m512)a.v, 1));
#else
  return (__m256)a.v;
#endif
}
FREQFUSION_INLINE __m256d fold(Vec<double> a) {
#if defined(__AVX512F__)
  return _mm256_add_pd(_mm512_castpd512_pd256((__m512d)a.v), _mm512_extractf64x4_pd((__m512d)a.v, 1));
#else
  return (__m256d)a.v;
#endif
}

// The sums of the lanes of four vectors, in registers: one at a time would go through memory and wait for it.
FREQFUSION_INLINE void four_sums(const Vec<float> (&a)[4], float (&sums)[4]) {
  const __m256 pairs_01 = _mm256_hadd_ps(fold(a[0]), fold(a[1])), pairs_23 = _mm256_hadd_ps(fold(a[2]), fold(a[3]));
  const __m256 halves = _mm256_hadd_ps(pairs_01, pairs_23);
  _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1)));
}
FREQFUSION_INLINE void four_sums(const Vec<double> (&a)[4], double (&sums)[4]) {
  const __m256d pairs_01 = _mm256_hadd_pd(fold(a[0]), fold(a[1])), pairs_23 = _mm256_hadd_pd(fold(a[2]), fold(a[3]));
  const __m256d low = _mm256_permute2f128_pd(pairs_01, pairs_23, 0x20);
  const __m256d high = _mm256_permute2f128_pd(pairs_01, pairs_23, 0x31);
  _mm256_storeu_pd(sums, _mm256_add_pd(low, high));
}
#else
template <typename A>
FREQFUSION_INLINE void four_sums(const Vec<A> (&a)[4], A (&sums)[4]) {
  for (int o = 0; o < 4; ++o) sums[o] = sum(a[o]);
}
#endif

// Four dot products with one array at once.
template <typename S>
FREQFUSION_INLINE void four_dots(const S* a, const S* const (&b)[4], int64_t channels, Accumulator<S> (&dots)[4]) {
  using A = Accumulator<S>;
  Vec<A> sums[4] = {zero<A>(), zero<A>(), zero<A>(), zero<A>()};
  int64_t c = 0;
  for (; c + Vec<A>::size <= channels; c += Vec<A>::size) {
    const Vec<A> value = load(a + c);
    for (int o = 0; o < 4; ++o) sums[o] = fma(value, load(b[o] + c), sums[o]);
  }
  if (c < channels) {
    const int rest = static_cast<int>(channels - c);
    const Vec<A> value = load_partial(a + c, rest);
    for (int o = 0; o < 4; ++o) sums[o] = fma(value, load_partial(b[o] + c, rest), sums[o]);
  }
  four_sums(sums, dots);
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
