#pragma once

// Matrix product of feature maps with weights that lie in panels: C[m][n] = sum over k of A[m][k] B[k][n].
//
// B is cut into panels of 16 outputs: [n / 16][k][16]. A tile of 6 to 8 rows of A times one to four panels is kept in
// registers (24 of AVX-512's 32 at most), so that a step along k costs one broadcast a row and one load a panel's
// vector for rows * panels products. A finished tile goes through a small buffer to a sink, which does the rest.

#include "native/ops/cpu/vec.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

constexpr int kPanel = 16;  // outputs of a panel, whatever the instruction set

template <typename A>
constexpr int kPanelVectors = kPanel / Vec<A>::size;

// Panels that one pass over k takes at most, and rows for a number of panels.
#if defined(__AVX512F__)
template <typename A>
constexpr int kMostPanels = sizeof(A) == 4 ? 4 : 2;
template <typename A>
constexpr int tile_rows(int panels) {
  return panels * kPanelVectors<A> > 3 ? 6 : 8;
}
#else
template <typename A>
constexpr int kMostPanels = 1;
template <typename A>
constexpr int tile_rows(int panels) {
#if defined(__AVX2__)
  return panels * kPanelVectors<A> > 2 ? 3 : 6;
#else
  return panels * kPanelVectors<A> > 4 ? 1 : 2;
#endif
}
#endif
constexpr int kMostRows = 8;

// Where A[m][k] lies: data[m * row + (k / 16) * block + (k % 16) * step].
template <typename A>
struct Rows {
  const A* data;
  int64_t row, block, step;
};

// B[k][n]: data[(n / 16) * panel + k * step + n % 16].
template <typename A>
struct Panels {
  const A* data;
  int64_t panel, step;
};

// One tile: rows m .. m + rows of A. Rows from `valid` on count for nothing: they repeat the last one, or, where
// row_step tells A's step from row to row at compile time (0 otherwise), they are read, so that memory must go on.
template <typename A, int rows, int panels, int row_step>
FREQFUSION_INLINE void multiply_tile(const Rows<A>& a, int64_t m, int valid, const Panels<A>& b, int64_t depth,
                                     A* tile) {
  constexpr int lanes = Vec<A>::size;
  constexpr int vectors = panels * kPanelVectors<A>;
  Vec<A> sum[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sum[i][v] = zero<A>();
  }
  int64_t offset[rows];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) offset[i] = row_step != 0 ? i * row_step : (i < valid ? i : valid - 1) * a.row;
  const A* from = a.data + m * (row_step != 0 ? row_step : a.row);
  const A* weights = b.data;
  for (int64_t k = 0; k < depth; k += 16, from += a.block) {
    const int64_t steps = depth - k < 16 ? depth - k : 16;
    const A* value = from;
    for (int64_t s = 0; s < steps; ++s, value += a.step, weights += b.step) {
      Vec<A> weight[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        weight[v] = load(weights + v / kPanelVectors<A> * b.panel + v % kPanelVectors<A> * lanes);
      }
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) {
        const Vec<A> x = broadcast(value[offset[i]]);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) sum[i][v] = fma(x, weight[v], sum[i][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) store_aligned(tile + (i * vectors + v) * lanes, sum[i][v]);
  }
}

template <typename A, int panels, int row_step, typename Sink>
FREQFUSION_INLINE void multiply_panels(const Rows<A>& a, int64_t count, const Panels<A>& b, int64_t first_panel,
                                       int64_t depth, const Sink& sink) {
  constexpr int rows = tile_rows<A>(panels);
  alignas(64) A tile[rows * panels * kPanel];
  const Panels<A> here{b.data + first_panel * b.panel, b.panel, b.step};
  for (int64_t m = 0; m < count; m += rows) {
    const int valid = count - m < rows ? static_cast<int>(count - m) : rows;
    multiply_tile<A, rows, panels, row_step>(a, m, valid, here, depth, tile);
    sink(tile, panels * kPanel, m, valid, first_panel * kPanel, panels * kPanel);
  }
}

// Calls sink(tile, pitch, m, rows, n, columns) for every tile of `count` rows and `panels` panels: tile[i * pitch + j]
// is C[m + i][n + j].
template <typename A, int row_step = 0, typename Sink>
FREQFUSION_INLINE void multiply(const Rows<A>& a, int64_t count, const Panels<A>& b, int64_t panels, int64_t depth,
                                const Sink& sink) {
  constexpr int most = kMostPanels<A>;
  for (int64_t p = 0; p < panels;) {
    const int64_t left = panels - p;
    // Five are taken as three and two: the narrowest tile is the slowest.
    int64_t now = left < most ? left : most;
    if (left == most + 1 && most > 2) now = (left + 1) / 2;
    if constexpr (most > 1) {
      if constexpr (most > 2) {
        if (now == 4) multiply_panels<A, 4, row_step>(a, count, b, p, depth, sink);
        if (now == 3) multiply_panels<A, 3, row_step>(a, count, b, p, depth, sink);
      }
      if (now == 2) multiply_panels<A, 2, row_step>(a, count, b, p, depth, sink);
    }
    if (now == 1) multiply_panels<A, 1, row_step>(a, count, b, p, depth, sink);
    p += now;
  }
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
