#pragma once

#include <math.h>

#include "native/ops/cpu/vec.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

// x P(x^2) / Q(x^2), a minimax fit of erf(x / sqrt 2) up to where it rounds to 1 (5.6): off by at most 4e-7.
FREQFUSION_INLINE Vec<float> erf_of_sqrt_half(Vec<float> x) {
  constexpr float end = 5.8f;  // the fit is above 1 there, so that it ends at 1 exactly
  x = min(max(x, broadcast(-end)), broadcast(end));
  const Vec<float> t = x * x;
  Vec<float> p = broadcast(4.459433712e-8f);
  p = fma(p, t, broadcast(1.257944099e-5f));
  p = fma(p, t, broadcast(3.378561769e-4f));
  p = fma(p, t, broadcast(9.354685613e-3f));
  p = fma(p, t, broadcast(6.785794522e-2f));
  p = fma(p, t, broadcast(0.7978845437f));
  Vec<float> q = broadcast(1.179645480e-6f);
  q = fma(q, t, broadcast(7.334356001e-5f));
  q = fma(q, t, broadcast(1.885485615e-3f));
  q = fma(q, t, broadcast(2.867751365e-2f));
  q = fma(q, t, broadcast(0.2517136489f));
  q = fma(q, t, broadcast(1.0f));
  return min(max(x * p / q, broadcast(-1.0f)), broadcast(1.0f));
}
FREQFUSION_INLINE Vec<double> erf_of_sqrt_half(Vec<double> x) {
  for (int i = 0; i < Vec<double>::size; ++i) x.v[i] = erf(x.v[i] * 0.70710678118654752440);
  return x;
}

// The exact GELU, x (1 + erf(x / sqrt 2)) / 2; NaN stays NaN.
template <typename A>
FREQFUSION_INLINE Vec<A> gelu(Vec<A> x) {
  const Vec<A> half = x * broadcast<A>(A(0.5));
  return fma(half, erf_of_sqrt_half(x), half);
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
