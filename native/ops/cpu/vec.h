#pragma once

// SIMD vectors of the instruction set a *_kernels.cpp is being compiled for: 64, 32 or 16 bytes of float or double.
// Everything lives in namespace FREQFUSION_ISA, so that no inline function of one instruction set can replace the
// one of another at link time; for the same reason no standard library header is included.
//
//   Vec<float> acc = zero<float>();
//   acc = fma(load(p), broadcast(2.0f), acc);   // p: float, double, Float16 or BFloat16
//   store_partial(q, acc, 3);                   // the first three lanes only
//
// 16-bit storage widens to float on load and rounds to nearest even on store.

#include <stddef.h>
#include <stdint.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define FREQFUSION_INLINE inline __attribute__((always_inline))

namespace freqfusion::cpu {

// Storage of at::Half and at::BFloat16: the bits alone.
struct Float16 {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

}  // namespace freqfusion::cpu

namespace freqfusion::cpu::FREQFUSION_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// T is float or double.
template <typename T>
struct Vec {
  static constexpr int size = kVectorBytes / static_cast<int>(sizeof(T));
  typedef T Native __attribute__((vector_size(kVectorBytes)));
  Native v;
};

// The type that a storage type is computed in.
template <typename S>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <typename S>
using Accumulator = typename AccumulatorOf<S>::type;

// ---- construction and arithmetic -------------------------------------------------------------------------------

template <typename T>
FREQFUSION_INLINE Vec<T> broadcast(T value) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return {(typename Vec<T>::Native)_mm512_set1_ps(value)};
  else
    return {(typename Vec<T>::Native)_mm512_set1_pd(value)};
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return {(typename Vec<T>::Native)_mm256_set1_ps(value)};
  else
    return {(typename Vec<T>::Native)_mm256_set1_pd(value)};
#else
  Vec<T> out;
  for (int i = 0; i < Vec<T>::size; ++i) out.v[i] = value;
  return out;
#endif
}

template <typename T>
FREQFUSION_INLINE Vec<T> zero() {
  return broadcast<T>(T(0));
}

template <typename T>
FREQFUSION_INLINE Vec<T> operator+(Vec<T> a, Vec<T> b) {
  return {a.v + b.v};
}
template <typename T>
FREQFUSION_INLINE Vec<T> operator-(Vec<T> a, Vec<T> b) {
  return {a.v - b.v};
}
template <typename T>
FREQFUSION_INLINE Vec<T> operator*(Vec<T> a, Vec<T> b) {
  return {a.v * b.v};
}
template <typename T>
FREQFUSION_INLINE Vec<T> operator/(Vec<T> a, Vec<T> b) {
  return {a.v / b.v};
}

// a * b + c, rounded once where the instruction set has it.
FREQFUSION_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__AVX512F__)
  return {(Vec<float>::Native)_mm512_fmadd_ps((__m512)a.v, (__m512)b.v, (__m512)c.v)};
#elif defined(__AVX2__)
  return {(Vec<float>::Native)_mm256_fmadd_ps((__m256)a.v, (__m256)b.v, (__m256)c.v)};
#else
  return {a.v * b.v + c.v};
#endif
}
FREQFUSION_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(__AVX512F__)
  return {(Vec<double>::Native)_mm512_fmadd_pd((__m512d)a.v, (__m512d)b.v, (__m512d)c.v)};
#elif defined(__AVX2__)
  return {(Vec<double>::Native)_mm256_fmadd_pd((__m256d)a.v, (__m256d)b.v, (__m256d)c.v)};
#else
  return {a.v * b.v + c.v};
#endif
}

// NaN in either operand gives b, as the x86 instructions do.
template <typename T>
FREQFUSION_INLINE Vec<T> max(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return {(typename Vec<T>::Native)_mm512_max_ps((__m512)a.v, (__m512)b.v)};
  else
    return {(typename Vec<T>::Native)_mm512_max_pd((__m512d)a.v, (__m512d)b.v)};
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return {(typename Vec<T>::Native)_mm256_max_ps((__m256)a.v, (__m256)b.v)};
  else
    return {(typename Vec<T>::Native)_mm256_max_pd((__m256d)a.v, (__m256d)b.v)};
#else
  Vec<T> out;
  for (int i = 0; i < Vec<T>::size; ++i) out.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return out;
#endif
}

template <typename T>
FREQFUSION_INLINE Vec<T> min(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return {(typename Vec<T>::Native)_mm512_min_ps((__m512)a.v, (__m512)b.v)};
  else
    return {(typename Vec<T>::Native)_mm512_min_pd((__m512d)a.v, (__m512d)b.v)};
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return {(typename Vec<T>::Native)_mm256_min_ps((__m256)a.v, (__m256)b.v)};
  else
    return {(typename Vec<T>::Native)_mm256_min_pd((__m256d)a.v, (__m256d)b.v)};
#else
  Vec<T> out;
  for (int i = 0; i < Vec<T>::size; ++i) out.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return out;
#endif
}

template <typename T>
FREQFUSION_INLINE Vec<T> sqrt(Vec<T> a) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return {(typename Vec<T>::Native)_mm512_sqrt_ps((__m512)a.v)};
  else
    return {(typename Vec<T>::Native)_mm512_sqrt_pd((__m512d)a.v)};
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return {(typename Vec<T>::Native)_mm256_sqrt_ps((__m256)a.v)};
  else
    return {(typename Vec<T>::Native)_mm256_sqrt_pd((__m256d)a.v)};
#else
  Vec<T> out;
  for (int i = 0; i < Vec<T>::size; ++i) out.v[i] = sizeof(T) == 4 ? __builtin_sqrtf(a.v[i]) : __builtin_sqrt(a.v[i]);
  return out;
#endif
}

// Sum of the lanes, halves added pairwise.
template <typename T>
FREQFUSION_INLINE T sum(Vec<T> a) {
  T lanes[Vec<T>::size];
  __builtin_memcpy(lanes, &a.v, sizeof(lanes));
#pragma GCC unroll 4
  for (int half = Vec<T>::size / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// ---- 16-bit scalars --------------------------------------------------------------------------------------------

FREQFUSION_INLINE float bits_to_float(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}
FREQFUSION_INLINE uint32_t float_to_bits(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits;
}

FREQFUSION_INLINE float widen(float value) { return value; }
FREQFUSION_INLINE double widen(double value) { return value; }
FREQFUSION_INLINE float widen(BFloat16 value) { return bits_to_float(static_cast<uint32_t>(value.bits) << 16); }
FREQFUSION_INLINE float widen(Float16 value) {
#if defined(__F16C__)
  return _cvtsh_ss(value.bits);
#else
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t magnitude = value.bits & 0x7FFFu;
  // 2^112 moves the exponent's bias from 15 to 127 and makes subnormals exact in one multiplication.
  float scaled = bits_to_float(magnitude << 13) * bits_to_float(0x77800000u);
  if (magnitude >= 0x7C00u) scaled = bits_to_float(0x7F800000u | ((magnitude & 0x3FFu) << 13));
  return bits_to_float(sign | float_to_bits(scaled));
#endif
}

template <typename S>
S narrow(Accumulator<S> value);
template <>
FREQFUSION_INLINE float narrow<float>(float value) {
  return value;
}
template <>
FREQFUSION_INLINE double narrow<double>(double value) {
  return value;
}
template <>
FREQFUSION_INLINE BFloat16 narrow<BFloat16>(float value) {
  const uint32_t bits = float_to_bits(value);
  if (value != value) return {0x7FC0};
  return {static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}
template <>
FREQFUSION_INLINE Float16 narrow<Float16>(float value) {
#if defined(__F16C__)
  return {static_cast<uint16_t>(_cvtss_sh(value, 0))};
#else
  const uint32_t bits = float_to_bits(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return {static_cast<uint16_t>(sign | 0x7E00u)};
  if (magnitude >= 0x477FF000u) return {static_cast<uint16_t>(sign | 0x7C00u)};  // rounds to infinity
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 leaves the rounded value in the low mantissa bits.
    const uint32_t rounded = float_to_bits(bits_to_float(magnitude) + 0.5f) - 0x3F000000u;
    return {static_cast<uint16_t>(sign | rounded)};
  }
  const uint32_t rounded = magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u);
  return {static_cast<uint16_t>(sign | (rounded >> 13))};
#endif
}

// ---- loads -----------------------------------------------------------------------------------------------------

// Any alignment.
template <typename T>
FREQFUSION_INLINE Vec<T> load(const T* p) {
  typedef T Unaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  return {(typename Vec<T>::Native) * reinterpret_cast<const Unaligned*>(p)};
}

// p is a multiple of kVectorBytes.
template <typename T>
FREQFUSION_INLINE Vec<T> load_aligned(const T* p) {
  typedef T Aligned __attribute__((vector_size(kVectorBytes), may_alias));
  return {(typename Vec<T>::Native) * reinterpret_cast<const Aligned*>(p)};
}

FREQFUSION_INLINE Vec<float> load(const BFloat16* p) {
#if defined(__AVX512F__)
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {(Vec<float>::Native)_mm512_slli_epi32(wide, 16)};
#elif defined(__AVX2__)
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return {(Vec<float>::Native)_mm256_slli_epi32(wide, 16)};
#else
  Vec<float> out;
  for (int i = 0; i < Vec<float>::size; ++i) out.v[i] = widen(p[i]);
  return out;
#endif
}

FREQFUSION_INLINE Vec<float> load(const Float16* p) {
#if defined(__AVX512F__)
  return {(Vec<float>::Native)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
#elif defined(__AVX2__)
  return {(Vec<float>::Native)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
#else
  Vec<float> out;
  for (int i = 0; i < Vec<float>::size; ++i) out.v[i] = widen(p[i]);
  return out;
#endif
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// Sliding window over it: `count` leading lanes on.
alignas(64) static const int32_t kLaneMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
FREQFUSION_INLINE __m256i lane_mask_32(int count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kLaneMask + 8 - count));
}
FREQFUSION_INLINE __m256i lane_mask_64(int count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kLaneMask + 8 - 2 * count));
}
#endif

// The first `count` lanes (0..size); the others are 0 and their memory is not touched.
template <typename S>
FREQFUSION_INLINE Vec<Accumulator<S>> load_partial(const S* p, int count) {
  using V = Vec<Accumulator<S>>;
#if defined(__AVX512F__)
  const uint32_t lanes = (1u << count) - 1u;
  if constexpr (sizeof(S) == 8) return {(typename V::Native)_mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes), p)};
  if constexpr (sizeof(S) == 4) return {(typename V::Native)_mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes), p)};
#elif defined(__AVX2__)
  if constexpr (sizeof(S) == 8) return {(typename V::Native)_mm256_maskload_pd(p, lane_mask_64(count))};
  if constexpr (sizeof(S) == 4) return {(typename V::Native)_mm256_maskload_ps(p, lane_mask_32(count))};
#endif
  S lane_copy[V::size] = {};
  for (int i = 0; i < V::size; ++i) {
    if (i < count) lane_copy[i] = p[i];
  }
  return load(lane_copy);
}

// Lanes [first, last) of 0..size; the others are 0 and their memory is not touched.
template <typename T>
FREQFUSION_INLINE Vec<T> load_range(const T* p, int first, int last) {
#if defined(__AVX512F__)
  const uint32_t lanes = ((1u << last) - 1u) & ~((1u << first) - 1u);
  if constexpr (sizeof(T) == 8) {
    return {(typename Vec<T>::Native)_mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes), p)};
  } else {
    return {(typename Vec<T>::Native)_mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes), p)};
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 8) {
    const __m256i lanes = _mm256_andnot_si256(lane_mask_64(first), lane_mask_64(last));
    return {(typename Vec<T>::Native)_mm256_maskload_pd(p, lanes)};
  } else {
    const __m256i lanes = _mm256_andnot_si256(lane_mask_32(first), lane_mask_32(last));
    return {(typename Vec<T>::Native)_mm256_maskload_ps(p, lanes)};
  }
#else
  T lane_copy[Vec<T>::size] = {};
  for (int i = 0; i < Vec<T>::size; ++i) {
    if (i >= first && i < last) lane_copy[i] = p[i];
  }
  return load(lane_copy);
#endif
}

// ---- stores ----------------------------------------------------------------------------------------------------

// Any alignment.
template <typename T>
FREQFUSION_INLINE void store(T* p, Vec<T> a) {
  typedef T Unaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  *reinterpret_cast<Unaligned*>(p) = (Unaligned)a.v;
}

// p is a multiple of kVectorBytes.
template <typename T>
FREQFUSION_INLINE void store_aligned(T* p, Vec<T> a) {
  typedef T Aligned __attribute__((vector_size(kVectorBytes), may_alias));
  *reinterpret_cast<Aligned*>(p) = (Aligned)a.v;
}

#if defined(__AVX512F__)
using HalfVector = __m256i;
FREQFUSION_INLINE HalfVector pack_float16(Vec<float> a) {
  return _mm512_cvtps_ph((__m512)a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
FREQFUSION_INLINE HalfVector pack_bfloat16(Vec<float> a) {
  const __m512i bits = _mm512_castps_si512((__m512)a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
  rounded = _mm512_srli_epi32(rounded, 16);
  const __mmask16 nan = _mm512_cmp_ps_mask((__m512)a.v, (__m512)a.v, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7FC0)));
}
#elif defined(__AVX2__)
using HalfVector = __m128i;
FREQFUSION_INLINE HalfVector pack_float16(Vec<float> a) {
  return _mm256_cvtps_ph((__m256)a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
FREQFUSION_INLINE HalfVector pack_bfloat16(Vec<float> a) {
  const __m256i bits = _mm256_castps_si256((__m256)a.v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
  rounded = _mm256_srli_epi32(rounded, 16);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps((__m256)a.v, (__m256)a.v, _CMP_UNORD_Q));
  rounded = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7FC0), nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(rounded, rounded), 0xD8);
  return _mm256_castsi256_si128(packed);
}
#endif

FREQFUSION_INLINE void store(BFloat16* p, Vec<float> a) {
#if defined(__AVX2__)
  const HalfVector packed = pack_bfloat16(a);
  __builtin_memcpy(p, &packed, sizeof(packed));
#else
  for (int i = 0; i < Vec<float>::size; ++i) p[i] = narrow<BFloat16>(a.v[i]);
#endif
}

FREQFUSION_INLINE void store(Float16* p, Vec<float> a) {
#if defined(__AVX2__)
  const HalfVector packed = pack_float16(a);
  __builtin_memcpy(p, &packed, sizeof(packed));
#else
  for (int i = 0; i < Vec<float>::size; ++i) p[i] = narrow<Float16>(a.v[i]);
#endif
}

// The first `count` lanes (0..size); no other memory is touched.
template <typename S>
FREQFUSION_INLINE void store_partial(S* p, Vec<Accumulator<S>> a, int count) {
#if defined(__AVX512F__)
  const uint32_t lanes = (1u << count) - 1u;
  if constexpr (sizeof(S) == 8) return _mm512_mask_storeu_pd(p, static_cast<__mmask8>(lanes), (__m512d)a.v);
  if constexpr (sizeof(S) == 4) return _mm512_mask_storeu_ps(p, static_cast<__mmask16>(lanes), (__m512)a.v);
#elif defined(__AVX2__)
  if constexpr (sizeof(S) == 8) return _mm256_maskstore_pd(p, lane_mask_64(count), (__m256d)a.v);
  if constexpr (sizeof(S) == 4) return _mm256_maskstore_ps(p, lane_mask_32(count), (__m256)a.v);
#endif
  S lane_copy[Vec<Accumulator<S>>::size];
  store(lane_copy, a);
  for (int i = 0; i < Vec<Accumulator<S>>::size; ++i) {
    if (i < count) p[i] = lane_copy[i];
  }
}

// Past the caches, for outputs that are larger than they are. p is a multiple of the bytes stored: kVectorBytes,
// half of that for 16-bit storage. Call stream_fence before another thread reads them.
template <typename S>
FREQFUSION_INLINE void store_stream(S* p, Vec<Accumulator<S>> a) {
#if defined(__AVX512F__)
  if constexpr (sizeof(S) == 8) _mm512_stream_pd(p, (__m512d)a.v);
  if constexpr (sizeof(S) == 4) _mm512_stream_ps(p, (__m512)a.v);
  if constexpr (sizeof(S) == 2) {
    HalfVector packed;
    store(reinterpret_cast<S*>(&packed), a);
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p), packed);
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(S) == 8) _mm256_stream_pd(p, (__m256d)a.v);
  if constexpr (sizeof(S) == 4) _mm256_stream_ps(p, (__m256)a.v);
  if constexpr (sizeof(S) == 2) {
    HalfVector packed;
    store(reinterpret_cast<S*>(&packed), a);
    _mm_stream_si128(reinterpret_cast<__m128i*>(p), packed);
  }
#else
  store(p, a);
#endif
}

FREQFUSION_INLINE void stream_fence() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
