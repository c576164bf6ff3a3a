#pragma once

// What the backward kernels of both layouts share.

#include "native/ops/cpu/carafe_blocks.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

constexpr int64_t kReaderBytes = 64 << 10;     // weights of a segment of grad_features: they stay in the L2 cache
constexpr int64_t kUpstreamBytes = 448 << 10;  // the split gradient that they meet
constexpr int64_t kSumBytes = 64 << 10;        // sums of a tile of grad_masks
constexpr int64_t kDotChannels = 16;           // that each visit to those sums adds

// How a row of grad_features is cut into segments of whole vectors. With the reflecting border the row begins and ends
// k/2 columns beyond the map.
template <typename T>
struct SegmentPlan {
  int64_t first_column, last_column;
  int64_t columns;   // of a segment; what is left at the end is added to the last one where it is below `least`,
  int64_t least;     // so that a mirrored column and its image always lie in one segment
  int64_t channels;  // whose split gradient is kept together
  int64_t readers, upstream, sums;  // values of scratch

  explicit SegmentPlan(const CarafeArgs& args) {
    constexpr int64_t V = Vec<T>::size, size = sizeof(T);
    const int64_t k = args.kernel_size, sub = args.scale * args.scale, radius = k / 2;
    const int64_t row_values = k * sub * V;
    first_column = args.reflect ? -radius : 0;
    last_column = args.width - first_column;
    least = args.reflect ? 2 * radius + 2 : 1;
    const int64_t blocks = larger(1, smaller(4, kReaderBytes / (row_values * k * size)));
    columns = larger(blocks * V, round_up(least, V));
    const int64_t most_columns = round_up(columns + least, V);
    const int64_t channel_values = k * sub * round_up(most_columns + k - 1, V);
    channels = larger(1, smaller(8, kUpstreamBytes / (channel_values * size * kMostChannels))) * kMostChannels;
    readers = larger(kReaderBytes / size, most_columns / V * row_values);
    upstream = channels * channel_values;
    sums = channels * most_columns;
  }
};

// Blocks of a tile of grad_masks, by the bytes of one block's sums.
FREQFUSION_INLINE int64_t dot_tile_blocks(int64_t block_bytes) {
  return larger(1, smaller(8, kSumBytes / block_bytes));
}

// Weights with which the windows read the block of pixels at x of one row: readers[row][i][kx][j][lane] is the mask of
// tap (row, kx) for sub-pixel (i, j) of source pixel x + lane - kx + k/2, 0 where that one is not in the map.
// `rows` are reading_taps of the block's row.
template <typename Element, int S>
__attribute__((noinline)) void stage_readers(const CarafeArgs& args, const CarafeTask& task, int64_t x,
                                             const Taps& rows, int first_row, int last_row,
                                             Accumulator<Element>* readers) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  const int k = args.kernel_size;
  for (int row = first_row; row < last_row; ++row) {
    for (int i = 0; i < S; ++i) {
      for (int kx = 0; kx < k; ++kx, readers += S * V) {
        const int64_t channel = (task.group * k + rows.kernel[row]) * k + kx;
        const Element* masks = at<Element>(args.masks, task.batch, channel, S * rows.position[row] + i, 0);
        Vec<T> columns[S];
        load_columns<S>(masks, args.masks.column, x - kx + k / 2, args.width, columns);
        for (int j = 0; j < S; ++j) store_aligned(readers + j * V, columns[j]);
      }
    }
  }
}

// sums[tap][sub-pixel of this pass][lane] for all k*k taps, to the block of source pixels at (y, x).
template <typename Element, int S>
__attribute__((noinline)) void store_mask_grads(const CarafeArgs& args, const CarafeTask& task, int64_t y, int64_t x,
                                                int pass, const Accumulator<Element>* sums) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  const int taps = args.kernel_size * args.kernel_size;
  const int lanes = static_cast<int>(smaller(V, args.width - x));
  for (int tap = 0; tap < taps; ++tap) {
    for (int i = 0; i < SubPixels<S>::rows; ++i, sums += S * V) {
      Element* row =
          at<Element>(args.grad_masks, task.batch, task.group * taps + tap, S * y + pass * SubPixels<S>::rows + i, 0);
      Vec<T> columns[S];
      for (int j = 0; j < S; ++j) columns[j] = load_aligned(sums + j * V);
      store_columns<S>(row, args.grad_masks.column, x, lanes, columns, false);
    }
  }
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
