#pragma once

// Numbers as the CUDA kernels see them. Every header of this folder compiles with nvcc and with a host compiler alone:
// the tests run the kernels' bodies on the CPU.

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__)
#define FREQFUSION_HD __host__ __device__ __forceinline__
#define FREQFUSION_UNROLL _Pragma("unroll")
#else
#define FREQFUSION_HD inline __attribute__((always_inline))
#define FREQFUSION_UNROLL
#endif

namespace freqfusion::cuda {

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

namespace scalar {

template <typename S>
struct AccumulatorOf {
  using Type = float;
};
template <>
struct AccumulatorOf<double> {
  using Type = double;
};

FREQFUSION_HD uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}
FREQFUSION_HD float from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

}  // namespace scalar

// What sums are kept in: double for double, float for everything else.
template <typename S>
using Accumulator = typename scalar::AccumulatorOf<S>::Type;

FREQFUSION_HD float widen(float value) { return value; }
FREQFUSION_HD double widen(double value) { return value; }
FREQFUSION_HD float widen(BFloat16 value) { return scalar::from_bits(uint32_t{value.bits} << 16); }
FREQFUSION_HD float widen(Half value) {
#if defined(__CUDA_ARCH__)
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
  return wide;
#else
  const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  const uint32_t magnitude = value.bits & 0x7fffu;
  // Subnormal: a multiple of 2^-24. Otherwise the exponent's bias grows by 112, or by 224 for infinity and NaN.
  if (magnitude < 0x400u) {
    const float small = static_cast<float>(magnitude) * 5.9604644775390625e-8f;
    return sign != 0 ? -small : small;
  }
  return scalar::from_bits(sign | ((magnitude << 13) + (magnitude < 0x7c00u ? 0x38000000u : 0x70000000u)));
#endif
}

// Rounded to the nearest, ties to even.
template <typename S>
FREQFUSION_HD S narrow(Accumulator<S> value);
template <>
FREQFUSION_HD float narrow<float>(float value) {
  return value;
}
template <>
FREQFUSION_HD double narrow<double>(double value) {
  return value;
}
template <>
FREQFUSION_HD BFloat16 narrow<BFloat16>(float value) {
  const uint32_t bits = scalar::bits_of(value);
  if (value != value) return {static_cast<uint16_t>(0x7fc0)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}
template <>
FREQFUSION_HD Half narrow<Half>(float value) {
#if defined(__CUDA_ARCH__)
  Half half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half.bits) : "f"(value));
  return half;
#else
  const uint32_t bits = scalar::bits_of(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};
  if (magnitude < 0x38800000u) {
    // Adding 0.5 leaves the multiple of 2^-24, rounded by the hardware, in the low bits.
    const float shifted = scalar::from_bits(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (scalar::bits_of(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
#endif
}

// Reads memory that no thread of the launch writes.
template <typename T>
FREQFUSION_HD T read(const T* from) {
#if defined(__CUDA_ARCH__)
  T value;
  if constexpr (sizeof(T) == 2) {
    const unsigned short raw = __ldg(reinterpret_cast<const unsigned short*>(from));
    memcpy(&value, &raw, sizeof(T));
  } else if constexpr (sizeof(T) == 4) {
    const unsigned int raw = __ldg(reinterpret_cast<const unsigned int*>(from));
    memcpy(&value, &raw, sizeof(T));
  } else if constexpr (sizeof(T) == 8) {
    const uint2 raw = __ldg(reinterpret_cast<const uint2*>(from));
    memcpy(&value, &raw, sizeof(T));
  } else {
    static_assert(sizeof(T) == 16, "values are read in 2, 4, 8 or 16 bytes");
    const uint4 raw = __ldg(reinterpret_cast<const uint4*>(from));
    memcpy(&value, &raw, sizeof(T));
  }
  return value;
#else
  return *from;
#endif
}

// `count` neighbouring values that are moved in one access; the address is a multiple of their size.
template <typename S, int count>
struct alignas(count * sizeof(S)) Pack {
  S values[count];
};

// Values of one 16-byte access.
template <typename S>
inline constexpr int kPack = 16 / sizeof(S);

// values[i] = from[i * step] for i < count, 0 beyond. Packed: `width` neighbours in 16-byte accesses.
template <bool packed, int width, typename S, typename I>
FREQFUSION_HD void read_block(const S* from, I step, int count, Accumulator<S>* values) {
  if constexpr (packed) {
    static_assert(width == kPack<S>, "a packed block is one access");
    const auto pack = read(reinterpret_cast<const Pack<S, width>*>(from));
    FREQFUSION_UNROLL
    for (int i = 0; i < width; ++i) values[i] = widen(pack.values[i]);
  } else {
    FREQFUSION_UNROLL
    for (int i = 0; i < width; ++i) values[i] = i < count ? widen(read(from + i * step)) : Accumulator<S>(0);
  }
}

template <bool packed, int width, typename S, typename I>
FREQFUSION_HD void write_block(S* to, I step, int count, const Accumulator<S>* values) {
  if constexpr (packed) {
    Pack<S, width> pack;
    FREQFUSION_UNROLL
    for (int i = 0; i < width; ++i) pack.values[i] = narrow<S>(values[i]);
    *reinterpret_cast<Pack<S, width>*>(to) = pack;
  } else {
    FREQFUSION_UNROLL
    for (int i = 0; i < width; ++i) {
      if (i < count) to[i * step] = narrow<S>(values[i]);
    }
  }
}

// Adds from many threads at once, in no fixed order.
template <typename A>
FREQFUSION_HD void add_atomically(A* to, A value) {
#if defined(__CUDA_ARCH__)
  atomicAdd(to, value);
#else
#pragma omp atomic
  *to += value;
#endif
}

}  // namespace freqfusion::cuda
