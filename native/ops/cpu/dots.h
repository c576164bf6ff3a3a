#pragma once

#include "native/ops/cpu/vec.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

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
  for (int o = 0; o < 4; ++o) dots[o] = sum(sums[o]);
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
