#pragma once

#include "native/ops/cpu/vec_shuffle.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

// Transposes a square of vectors in log2(size) rounds: row i and row i + size / 2 are interleaved each time.
template <typename T>
FREQFUSION_INLINE void transpose(Vec<T> (&rows)[Vec<T>::size]) {
  constexpr int V = Vec<T>::size;
#pragma GCC unroll 4
  for (int round = 1; round < V; round *= 2) {
    Vec<T> next[V];
#pragma GCC unroll 8
    for (int i = 0; i < V / 2; ++i) {
      const VecPair<T> pair = interleave(rows[i], rows[i + V / 2]);
      next[2 * i] = pair.first;
      next[2 * i + 1] = pair.second;
    }
#pragma GCC unroll 16
    for (int i = 0; i < V; ++i) rows[i] = next[i];
  }
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
