#pragma once

// What the kernels of both layouts share: the tile of pixels that they work on and the offsets of the window.

#include "native/ops/cpu/local_similarity_kernels.h"
#include "native/ops/cpu/staging.h"

namespace freqfusion::cpu::FREQFUSION_ISA::similarity {

// sim(p, q) = sim(q, p): the forward kernels compute the offsets of the half-plane after the centre and write each
// result twice, at p and mirrored at p + offset. There are (k*k - 1) / 2 of them, a multiple of 4 for every odd k,
// and they are taken four at a time.
//
// The gradient of x(p) gathers, over all offsets, K(p) x(p + offset) with K(p) = G_offset(p) + G_-offset(p + offset):
// p takes part as the centre and as the partner. For the cosine everything is in terms of the unit vectors
// u = x / |x|, and the part of the gradient along u drops out.

constexpr int64_t kRows = kSimilarityRows;
constexpr int64_t kBlock = kSimilarityChannels;

constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Pixels (row + m * dilation, column + i), m < rows, i < columns.
struct Tile {
  int64_t image, row, rows, column, columns;

  Tile(const LocalSimilarityArgs& args, int64_t index) {
    column = index % args.column_tiles * args.tile_columns;
    index /= args.column_tiles;
    row = index % args.residues;
    index /= args.residues;
    row += index % args.row_blocks * kRows * args.dilation;
    image = index / args.row_blocks;
    rows = row < args.height ? smaller(kRows, (args.height - row - 1) / args.dilation + 1) : 0;
    columns = smaller(args.tile_columns, args.width - column);
  }
};

template <typename S>
FREQFUSION_INLINE S* address(const Map& map, int64_t image, int64_t channel, int64_t row, int64_t column) {
  return static_cast<S*>(map.data) + image * map.image + channel * map.channel + row * map.row + column * map.column;
}

// An offset of the window, in steps of the dilation, and its channel in the output.
struct Offset {
  int64_t dy, dx, channel, mirror;
  bool reaches;  // some pixel of the map has a partner at this offset

  // tap: 0 .. k*k - 1 in row-major order, not the centre.
  Offset(const LocalSimilarityArgs& args, int64_t tap) {
    const int64_t k = args.kernel_size, centre = k * k / 2;
    dy = tap / k - k / 2;
    dx = tap % k - k / 2;
    channel = tap < centre ? tap : tap - 1;
    mirror = k * k - 2 - channel;
    reaches = larger(dy, -dy) <= args.reach_rows && larger(dx, -dx) <= args.reach_columns;
  }
};

// 1 / max(|x|, 1e-8) from the sum of squares.
template <typename A>
FREQFUSION_INLINE Vec<A> inverse_norm(Vec<A> squares) {
  return broadcast<A>(1) / max(broadcast<A>(A(1e-8)), sqrt(squares));
}

template <typename A>
void squares_to_inverse_norms(A* squares, int64_t count) {
  for (int64_t i = 0; i < count; i += Vec<A>::size) store(squares + i, inverse_norm(load(squares + i)));
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA::similarity
