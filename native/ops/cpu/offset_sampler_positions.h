#pragma once

// Where output pixels read the map.

#include "native/ops/cpu/offset_sampler_kernels.h"
#include "native/ops/cpu/staging.h"

namespace freqfusion::cpu::FREQFUSION_ISA::sampler {

template <typename S>
FREQFUSION_INLINE S* address(const Map& map, int64_t image, int64_t channel, int64_t row, int64_t column) {
  return static_cast<S*>(map.data) + image * map.image + channel * map.channel + row * map.row + column * map.column;
}

FREQFUSION_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// One row of the output in one group. The groups of a channels-last row share its cache lines and come one after the
// other; on planes the rows of one group do.
struct Row {
  int64_t image, group, row;

  Row(int64_t of_image, int64_t of_group, int64_t of_row) : image(of_image), group(of_group), row(of_row) {}

  Row(const OffsetSamplerArgs& args, int64_t index) {
    const int64_t inner = args.dense_channels ? args.groups : args.height;
    const int64_t outer = args.dense_channels ? args.height : args.groups;
    const int64_t first = index % inner, second = index / inner % outer;
    group = args.dense_channels ? first : second;
    row = args.dense_channels ? second : first;
    image = index / inner / outer;
  }
};

// Source positions of a run of output pixels. The upper left of the four source pixels is at (x0, y0), its weight
// (1 - fx) * (1 - fy). x0 is at most width - 2, so that all four lie inside; at the right border fx is 1.
template <typename A>
struct Positions {
  alignas(64) int32_t x0[kSamplerRun];
  alignas(64) int32_t y0[kSamplerRun];
  alignas(64) A fx[kSamplerRun];
  alignas(64) A fy[kSamplerRun];
  // d position / d offset: 2, and 0 where the position was clamped (the border itself included).
  alignas(64) A slope_x[kSamplerRun];
  alignas(64) A slope_y[kSamplerRun];
};

// positions = 2 * (low-resolution centre + offset) - 0.5, clamped to [0, size - 1]; NaN becomes 0.
// `parity` and `from` choose the output pixels: 2 * from + parity, counted by `step` low-resolution pixels.
template <typename A>
FREQFUSION_INLINE void place(const A* offset, int64_t start, int64_t step, int64_t count, int64_t size, int32_t* whole,
                             A* fraction, A* slope) {
  const A largest = static_cast<A>(size - 1);
  const int32_t last = static_cast<int32_t>(size - 2);
  const int32_t first = static_cast<int32_t>(start), by = static_cast<int32_t>(step);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t pixel = first + ((static_cast<int32_t>(i) * by) >> 1);
    const A wanted = 2 * (static_cast<A>(pixel) + A(0.5) + offset[i]) - A(0.5);
    const A lifted = wanted > 0 ? wanted : A(0);
    const A position = lifted < largest ? lifted : largest;
    const int32_t below = static_cast<int32_t>(position);
    const int32_t base = below < last ? below : last;
    whole[i] = base;
    fraction[i] = position - static_cast<A>(base);
    slope[i] = wanted > 0 && wanted < largest ? A(2) : A(0);
  }
}

// The offsets of `count` output pixels from the even column `column` on, both columns of every low-resolution pixel.
template <typename S>
FREQFUSION_INLINE void load_offsets(const OffsetSamplerArgs& args, const Row& row, int64_t direction, int64_t column,
                                    int64_t count, Accumulator<S>* to) {
  const int64_t channel = ((direction * args.groups + row.group) * 2 + row.row % 2) * 2;
  const S* left = address<S>(args.offset, row.image, channel, row.row / 2, column / 2);
  const S* right = left + args.offset.channel;
  for (int64_t i = 0; i < count / 2; ++i) {
    to[2 * i] = widen(left[i * args.offset.column]);
    to[2 * i + 1] = widen(right[i * args.offset.column]);
  }
}

template <typename S>
void find_positions(const OffsetSamplerArgs& args, const Row& row, int64_t column, int64_t count,
                    Positions<Accumulator<S>>& at) {
  Accumulator<S> offset[kSamplerRun];
  load_offsets<S>(args, row, 0, column, count, offset);
  place(offset, column / 2, 1, count, args.width, at.x0, at.fx, at.slope_x);
  load_offsets<S>(args, row, 1, column, count, offset);
  place(offset, row.row / 2, 0, count, args.height, at.y0, at.fy, at.slope_y);
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA::sampler
