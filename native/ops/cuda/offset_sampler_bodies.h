#pragma once

// The bodies of offset_sampler. A thread owns one output pixel of one group and a block of its channels: it finds the
// position once.

#include "native/ops/cuda/offset_sampler.h"

namespace freqfusion::cuda {

// Where an output pixel reads along one side: `base` and its successor, the latter with the weight `fraction`.
// `slope` is d position / d offset: 2, and 0 where the position was clamped (the border itself included).
template <typename A, typename I>
struct SamplePosition {
  I base;
  A fraction, slope;

  // position = 2 * (low-resolution centre + offset) - 0.5, clamped to [0, size - 1]; NaN becomes 0. `base` is at most
  // size - 2, so that both pixels lie on the map.
  FREQFUSION_HD SamplePosition(A offset, I pixel, I size) {
    const A largest = static_cast<A>(size - 1);
    const A wanted = 2 * (static_cast<A>(pixel) + A(0.5) + offset) - A(0.5);
    const A lifted = wanted > 0 ? wanted : A(0);
    const A position = lifted < largest ? lifted : largest;
    const I below = static_cast<I>(position);
    base = below < size - 2 ? below : size - 2;
    fraction = position - static_cast<A>(base);
    slope = wanted > 0 && wanted < largest ? A(2) : A(0);
  }
};

template <typename S, typename I>
struct SamplerGrid {
  using A = Accumulator<S>;
  View<const S, I> offset;
  I height, width, group_channels, groups, block, blocks;
  bool channels_fastest;

  SamplerGrid(const OffsetSamplerArgs& args, int64_t block_channels, bool fastest)
      : offset(args.offset),
        height(static_cast<I>(args.height)),
        width(static_cast<I>(args.width)),
        group_channels(static_cast<I>(args.channels / args.groups)),
        groups(static_cast<I>(args.groups)),
        block(static_cast<I>(block_channels)),
        blocks((group_channels + block - 1) / block),
        channels_fastest(fastest) {}

  I threads(int64_t batch) const { return static_cast<I>(batch) * height * width * groups * blocks; }

  struct Place {
    I image, group, first, y, x;
    int count;
  };

  FREQFUSION_HD Place place(I t) const {
    Place at;
    I part;
    if (channels_fastest) {
      part = t % blocks, t /= blocks;
      at.group = t % groups, t /= groups;
      at.x = t % width, t /= width;
      at.y = t % height;
      at.image = t / height;
    } else {
      at.x = t % width, t /= width;
      at.y = t % height, t /= height;
      part = t % blocks, t /= blocks;
      at.group = t % groups;
      at.image = t / groups;
    }
    at.first = at.group * group_channels + part * block;
    const I left = group_channels - part * block;
    at.count = static_cast<int>(left < block ? left : block);
    return at;
  }

  FREQFUSION_HD I offset_channel(const Place& at, I direction) const {
    return ((direction * groups + at.group) * 2 + at.y % 2) * 2 + at.x % 2;
  }
  FREQFUSION_HD A offset_value(const Place& at, I direction) const {
    return widen(read(offset.at(at.image, offset_channel(at, direction), at.y / 2, at.x / 2)));
  }
  FREQFUSION_HD SamplePosition<A, I> column(const Place& at) const { return {offset_value(at, 0), at.x / 2, width}; }
  FREQFUSION_HD SamplePosition<A, I> row(const Place& at) const { return {offset_value(at, 1), at.y / 2, height}; }
};

// `wide` channels at once: 16 bytes of a channels-last map, or one of a plane.
template <typename S, typename I, bool packed>
struct SamplerForward {
  using A = Accumulator<S>;
  static constexpr int width = packed ? kPack<S> : 1;
  SamplerGrid<S, I> grid;
  View<const S, I> x;
  View<S, I> out;
  I threads;

  SamplerForward(const OffsetSamplerArgs& args, int64_t block, bool channels_fastest)
      : grid(args, block, channels_fastest), x(args.x), out(args.out), threads(grid.threads(args.batch)) {}

  FREQFUSION_HD void operator()(I thread) const {
    const auto at = grid.place(thread);
    const auto column = grid.column(at), row = grid.row(at);
    const A weights[4] = {(1 - row.fraction) * (1 - column.fraction), (1 - row.fraction) * column.fraction,
                          row.fraction * (1 - column.fraction), row.fraction * column.fraction};
    const S* from = x.at(at.image, at.first, row.base, column.base);
    S* to = out.at(at.image, at.first, at.y, at.x);
    for (int c = 0; c < at.count; c += width, from += width * x.channel, to += width * out.channel) {
      A sums[width] = {};
      FREQFUSION_UNROLL
      for (int q = 0; q < 4; ++q) {
        A values[width];
        read_block<packed, width>(from + q / 2 * x.row + q % 2 * x.column, x.channel, width, values);
        FREQFUSION_UNROLL
        for (int v = 0; v < width; ++v) sums[v] += weights[q] * values[v];
      }
      write_block<packed, width>(to, out.channel, width, sums);
    }
  }
};

// All channels of a group in one thread: every offset belongs to one output pixel of one group.
template <typename S, typename I, bool packed>
struct SamplerGradOffset {
  using A = Accumulator<S>;
  static constexpr int width = packed ? kPack<S> : 1;
  SamplerGrid<S, I> grid;
  View<const S, I> x, grad_output;
  View<S, I> grad_offset;
  I threads;

  explicit SamplerGradOffset(const OffsetSamplerArgs& args)
      : grid(args, args.channels / args.groups, false),
        x(args.x),
        grad_output(args.out),
        grad_offset(args.grad_offset),
        threads(grid.threads(args.batch)) {}

  FREQFUSION_HD void operator()(I thread) const {
    const auto at = grid.place(thread);
    const auto column = grid.column(at), row = grid.row(at);
    const S* from = x.at(at.image, at.first, row.base, column.base);
    const S* grad = grad_output.at(at.image, at.first, at.y, at.x);
    A dots[4] = {};
    for (int c = 0; c < at.count; c += width, from += width * x.channel, grad += width * grad_output.channel) {
      A grads[width];
      read_block<packed, width>(grad, grad_output.channel, width, grads);
      FREQFUSION_UNROLL
      for (int q = 0; q < 4; ++q) {
        A values[width];
        read_block<packed, width>(from + q / 2 * x.row + q % 2 * x.column, x.channel, width, values);
        FREQFUSION_UNROLL
        for (int v = 0; v < width; ++v) dots[q] += grads[v] * values[v];
      }
    }
    const A to_x = (dots[1] - dots[0]) * (1 - row.fraction) + (dots[3] - dots[2]) * row.fraction;
    const A to_y = (dots[2] - dots[0]) * (1 - column.fraction) + (dots[3] - dots[1]) * column.fraction;
    *grad_offset.at(at.image, grid.offset_channel(at, 0), at.y / 2, at.x / 2) = narrow<S>(column.slope * to_x);
    *grad_offset.at(at.image, grid.offset_channel(at, 1), at.y / 2, at.x / 2) = narrow<S>(row.slope * to_y);
  }
};

template <typename S, typename I>
struct SamplerGradX {
  using A = Accumulator<S>;
  SamplerGrid<S, I> grid;
  View<const S, I> grad_output;
  View<A, I> grad_x;
  I threads;

  SamplerGradX(const OffsetSamplerArgs& args, int64_t block, bool channels_fastest)
      : grid(args, block, channels_fastest),
        grad_output(args.out),
        grad_x(args.grad_x),
        threads(grid.threads(args.batch)) {}

  FREQFUSION_HD void operator()(I thread) const {
    const auto at = grid.place(thread);
    const auto column = grid.column(at), row = grid.row(at);
    const A weights[4] = {(1 - row.fraction) * (1 - column.fraction), (1 - row.fraction) * column.fraction,
                          row.fraction * (1 - column.fraction), row.fraction * column.fraction};
    const S* grad = grad_output.at(at.image, at.first, at.y, at.x);
    A* to = grad_x.at(at.image, at.first, row.base, column.base);
    for (int c = 0; c < at.count; ++c, grad += grad_output.channel, to += grad_x.channel) {
      const A value = widen(read(grad));
      FREQFUSION_UNROLL
      for (int q = 0; q < 4; ++q) {
        add_atomically(to + q / 2 * grad_x.row + q % 2 * grad_x.column, weights[q] * value);
      }
    }
  }
};

}  // namespace freqfusion::cuda
