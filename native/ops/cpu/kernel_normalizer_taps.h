#pragma once

// The exponential of vectors, and the normalisation of kernels built on it.

#include <math.h>

#include "native/ops/cpu/vec.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

// exp(x) for x <= 0, to about one unit in the last place, subnormal results included; NaN stays NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2, exp(x) = 2^n exp(r), exp(r) by its Taylor series: the first term left out,
// r^8 / 8!, is under 6e-9.
FREQFUSION_INLINE Vec<float> exp_negative(Vec<float> x) {
  typedef int32_t Bits __attribute__((vector_size(kVectorBytes)));
  using Native = Vec<float>::Native;
  constexpr float round_magic = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  x = max(broadcast(-104.0f), x);             // exp(-104) rounds to 0; max keeps a NaN in its second operand
  const Vec<float> shifted = fma(x, broadcast(1.44269504f), broadcast(round_magic));
  const Vec<float> n = shifted - broadcast(round_magic);
  Vec<float> r = fma(n, broadcast(-0.693359375f), x);  // ln 2 in two parts, the first exact in 10 bits
  r = fma(n, broadcast(2.12194440e-4f), r);
  Vec<float> p = broadcast(1.0f / 5040);
  p = fma(p, r, broadcast(1.0f / 720));
  p = fma(p, r, broadcast(1.0f / 120));
  p = fma(p, r, broadcast(1.0f / 24));
  p = fma(p, r, broadcast(1.0f / 6));
  p = fma(p, r, broadcast(0.5f));
  p = fma(p, r, broadcast(1.0f));
  p = fma(p, r, broadcast(1.0f));
  // 2^n in two factors, as 2^-150 is no float.
  const Bits exponent = (Bits)shifted.v - 0x4B400000;
  const Bits half = exponent >> 1;
  const Vec<float> first{(Native)((half + 127) << 23)};
  const Vec<float> second{(Native)((exponent - half + 127) << 23)};
  return p * first * second;
}

FREQFUSION_INLINE Vec<double> exp_negative(Vec<double> x) {
  for (int i = 0; i < Vec<double>::size; ++i) x.v[i] = exp(x.v[i]);
  return x;
}

// taps[t][pitch] holds the logits of whole vectors of pixels and takes the normalised kernels.
template <typename A>
void normalize(A* taps, int64_t count, int64_t pitch, const float* window) {
  for (int64_t i = 0; i < pitch; i += Vec<A>::size) {
    Vec<A> largest = load(taps + i);
    // A NaN among the logits makes exp(NaN - largest) and with it the sum NaN, wherever it stands.
    for (int64_t t = 1; t < count; ++t) largest = max(load(taps + t * pitch + i), largest);
    Vec<A> total = zero<A>();
    for (int64_t t = 0; t < count; ++t) {
      A* tap = taps + t * pitch + i;
      const Vec<A> weight = exp_negative(load(tap) - largest) * broadcast<A>(window[t]);
      total = total + weight;
      store(tap, weight);
    }
    const Vec<A> scale = broadcast<A>(1) / total;
    for (int64_t t = 0; t < count; ++t) {
      A* tap = taps + t * pitch + i;
      store(tap, load(tap) * scale);
    }
  }
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
