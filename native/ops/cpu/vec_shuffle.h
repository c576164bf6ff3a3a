#pragma once

// Splitting and merging of even and odd lanes, for maps whose neighbouring pixels belong to one source pixel.

#include "native/ops/cpu/vec.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

template <typename T>
struct VecPair {
  Vec<T> first, second;
};

// a, b = x0 x1 x2 ... -> {x0 x2 x4 ..., x1 x3 x5 ...}
template <typename T>
FREQFUSION_INLINE VecPair<T> deinterleave(Vec<T> a, Vec<T> b) {
  using N [[maybe_unused]] = typename Vec<T>::Native;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return {{(N)_mm512_permutex2var_ps((__m512)a.v, even, (__m512)b.v)},
            {(N)_mm512_permutex2var_ps((__m512)a.v, odd, (__m512)b.v)}};
  } else {
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const __m512i odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    return {{(N)_mm512_permutex2var_pd((__m512d)a.v, even, (__m512d)b.v)},
            {(N)_mm512_permutex2var_pd((__m512d)a.v, odd, (__m512d)b.v)}};
  }
#elif defined(__AVX2__)
  __m256d even, odd;
  if constexpr (sizeof(T) == 4) {
    even = _mm256_castps_pd(_mm256_shuffle_ps((__m256)a.v, (__m256)b.v, 0x88));
    odd = _mm256_castps_pd(_mm256_shuffle_ps((__m256)a.v, (__m256)b.v, 0xDD));
  } else {
    even = _mm256_unpacklo_pd((__m256d)a.v, (__m256d)b.v);
    odd = _mm256_unpackhi_pd((__m256d)a.v, (__m256d)b.v);
  }
  return {{(N)_mm256_permute4x64_pd(even, 0xD8)}, {(N)_mm256_permute4x64_pd(odd, 0xD8)}};
#else
  VecPair<T> out;
  constexpr int half = Vec<T>::size / 2;
  for (int i = 0; i < half; ++i) {
    out.first.v[i] = a.v[2 * i];
    out.first.v[i + half] = b.v[2 * i];
    out.second.v[i] = a.v[2 * i + 1];
    out.second.v[i + half] = b.v[2 * i + 1];
  }
  return out;
#endif
}

// The inverse: x0 x2 x4 ..., x1 x3 x5 ... -> {x0 x1 x2 ..., the rest}
template <typename T>
FREQFUSION_INLINE VecPair<T> interleave(Vec<T> even, Vec<T> odd) {
  using N [[maybe_unused]] = typename Vec<T>::Native;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return {{(N)_mm512_permutex2var_ps((__m512)even.v, low, (__m512)odd.v)},
            {(N)_mm512_permutex2var_ps((__m512)even.v, high, (__m512)odd.v)}};
  } else {
    const __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    return {{(N)_mm512_permutex2var_pd((__m512d)even.v, low, (__m512d)odd.v)},
            {(N)_mm512_permutex2var_pd((__m512d)even.v, high, (__m512d)odd.v)}};
  }
#elif defined(__AVX2__)
  __m256d low, high;
  if constexpr (sizeof(T) == 4) {
    low = _mm256_castps_pd(_mm256_unpacklo_ps((__m256)even.v, (__m256)odd.v));
    high = _mm256_castps_pd(_mm256_unpackhi_ps((__m256)even.v, (__m256)odd.v));
  } else {
    low = _mm256_unpacklo_pd((__m256d)even.v, (__m256d)odd.v);
    high = _mm256_unpackhi_pd((__m256d)even.v, (__m256d)odd.v);
  }
  return {{(N)_mm256_permute2f128_pd(low, high, 0x20)}, {(N)_mm256_permute2f128_pd(low, high, 0x31)}};
#else
  VecPair<T> out;
  constexpr int half = Vec<T>::size / 2;
  for (int i = 0; i < half; ++i) {
    out.first.v[2 * i] = even.v[i];
    out.first.v[2 * i + 1] = odd.v[i];
    out.second.v[2 * i] = even.v[i + half];
    out.second.v[2 * i + 1] = odd.v[i + half];
  }
  return out;
#endif
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
