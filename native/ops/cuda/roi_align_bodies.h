#pragma once

// The bodies of roi_align. A thread owns one bin of one box and a block of its channels.

#include "native/ops/cuda/exact.h"
#include "native/ops/cuda/roi_align.h"

namespace freqfusion::cuda {

// The samples of one bin along one side that may lie on the map. Products are rounded by themselves: a box side that
// comes out a rounding error longer could get another sample.
template <typename A>
struct RoiSide {
  A origin, bin, samples, first;
  int count;
  bool finite;

  FREQFUSION_HD RoiSide(A low, A high, int bins, int index, int64_t size, A scale, int ratio, bool aligned) {
    const A shift = aligned ? A(0.5) : A(0);
    const A start = product(low, scale) - shift;
    A length = (product(high, scale) - shift) - start;
    if (!aligned && length < 1) length = 1;
    bin = length / static_cast<A>(bins);
    origin = start + product(static_cast<A>(index), bin);
    finite = start - start == 0 && bin - bin == 0;
    const A wanted = bin > 0 ? (bin < A(1099511627776.0) ? ceil(bin) : A(1099511627776.0)) : A(0);
    samples = ratio > 0 ? static_cast<A>(ratio) : wanted;
    first = 0;
    if (!finite || samples == 0) {
      count = 0;
    } else if (samples <= 64) {
      count = static_cast<int>(samples);
    } else {
      // More samples lie on the map of a box than it has pixels only where the box is small.
      const double step = static_cast<double>(bin) / static_cast<double>(samples);
      double from = floor((-1 - static_cast<double>(origin)) / step) - 2;
      double to = ceil((static_cast<double>(size) - static_cast<double>(origin)) / step) + 2;
      if (from < 0) from = 0;
      if (to > static_cast<double>(samples)) to = static_cast<double>(samples);
      first = static_cast<A>(from < to ? from : 0);
      count = from < to ? static_cast<int>(to - from) : 0;
    }
  }

  FREQFUSION_HD A at(int sample) const { return origin + (first + static_cast<A>(sample) + A(0.5)) * bin / samples; }
};

// Where a sample reads along one side.
template <typename A, typename I>
struct RoiTap {
  I below, above;
  A fraction;
  bool inside;

  FREQFUSION_HD RoiTap(A at, I size) {
    inside = at >= A(-1) && at <= static_cast<A>(size);
    const A lifted = inside && at > 0 ? at : A(0);
    below = static_cast<I>(lifted);
    above = below + 1;
    fraction = lifted - static_cast<A>(below);
    if (below >= size - 1) {
      below = above = size - 1;
      fraction = 0;
    }
  }
};

template <typename S, typename I>
struct RoiGrid {
  using A = Accumulator<S>;
  const A* rois;
  const int64_t* levels;
  int64_t level, roi_step, roi_column;
  A scale;
  I boxes, channels, height, width, out_height, out_width, block, blocks;
  int ratio;
  bool aligned, channels_fastest;

  RoiGrid(const RoiAlignArgs& args, int64_t block_channels, bool fastest)
      : rois(static_cast<const A*>(args.rois)),
        levels(args.levels),
        level(args.level),
        roi_step(args.roi_step),
        roi_column(args.roi_column),
        scale(static_cast<A>(args.spatial_scale)),
        boxes(static_cast<I>(args.boxes)),
        channels(static_cast<I>(args.channels)),
        height(static_cast<I>(args.height)),
        width(static_cast<I>(args.width)),
        out_height(static_cast<I>(args.out_height)),
        out_width(static_cast<I>(args.out_width)),
        block(static_cast<I>(block_channels)),
        blocks((channels + block - 1) / block),
        ratio(args.sampling_ratio),
        aligned(args.aligned),
        channels_fastest(fastest) {}

  I threads() const { return boxes * blocks * out_height * out_width; }

  struct Place {
    I box, first, y, x;
    int count;
  };

  FREQFUSION_HD Place place(I t) const {
    Place at;
    I part;
    if (channels_fastest) {
      part = t % blocks, t /= blocks;
      at.x = t % out_width, t /= out_width;
      at.y = t % out_height;
      at.box = t / out_height;
    } else {
      at.x = t % out_width, t /= out_width;
      at.y = t % out_height, t /= out_height;
      part = t % blocks;
      at.box = t / blocks;
    }
    at.first = part * block;
    const I left = channels - at.first;
    at.count = static_cast<int>(left < block ? left : block);
    return at;
  }

  FREQFUSION_HD bool skips(const Place& at) const { return levels != nullptr && levels[at.box] != level; }
  FREQFUSION_HD A roi(const Place& at, int column) const {
    return read(rois + static_cast<int64_t>(at.box) * roi_step + column * roi_column);
  }
  FREQFUSION_HD I image(const Place& at) const { return static_cast<I>(roi(at, 0)); }
  FREQFUSION_HD RoiSide<A> column(const Place& at) const {
    return {roi(at, 1), roi(at, 3), static_cast<int>(out_width), static_cast<int>(at.x), width, scale, ratio, aligned};
  }
  FREQFUSION_HD RoiSide<A> row(const Place& at) const {
    return {roi(at, 2), roi(at, 4), static_cast<int>(out_height), static_cast<int>(at.y), height, scale,
            ratio,      aligned};
  }
};

// Calls visit(y, x, weight) for the four pixels of every sample, the mean over the samples in the weights.
template <typename A, typename I, typename F>
FREQFUSION_HD void visit_samples(const RoiSide<A>& row, const RoiSide<A>& column, I height, I width, const F& visit) {
  if (height == 0 || width == 0 || row.count == 0 || column.count == 0) return;
  const A share = 1 / (row.samples * column.samples);
  for (int i = 0; i < row.count; ++i) {
    const RoiTap<A, I> y(row.at(i), height);
    if (!y.inside) continue;
    for (int j = 0; j < column.count; ++j) {
      const RoiTap<A, I> x(column.at(j), width);
      if (!x.inside) continue;
      const A lower = share * y.fraction, upper = share * (1 - y.fraction);
      visit(y.below, x.below, upper * (1 - x.fraction));
      visit(y.below, x.above, upper * x.fraction);
      visit(y.above, x.below, lower * (1 - x.fraction));
      visit(y.above, x.above, lower * x.fraction);
    }
  }
}

// `width` channels at once: 16 bytes of a channels-last map, or a few of a plane's.
template <typename S, typename I, bool packed, int width>
struct RoiForward {
  using A = Accumulator<S>;
  RoiGrid<S, I> grid;
  View<const S, I> features;
  View<S, I> out;
  I threads;

  RoiForward(const RoiAlignArgs& args, bool channels_fastest)
      : grid(args, width, channels_fastest), features(args.features), out(args.out), threads(grid.threads()) {}

  FREQFUSION_HD void operator()(I thread) const {
    const auto at = grid.place(thread);
    if (grid.skips(at)) return;
    const auto row = grid.row(at), column = grid.column(at);
    A sums[width] = {};
    const S* from = features.at(grid.image(at), at.first, 0, 0);
    visit_samples(row, column, grid.height, grid.width, [&](I y, I x, A weight) {
      A values[width];
      read_block<packed, width>(from + y * features.row + x * features.column, features.channel, at.count, values);
      FREQFUSION_UNROLL
      for (int v = 0; v < width; ++v) sums[v] += weight * values[v];
    });
    if (!row.finite || !column.finite) {
      for (int v = 0; v < width; ++v) sums[v] = static_cast<A>(NAN);
    }
    write_block<packed, width>(out.at(at.box, at.first, at.y, at.x), out.channel, at.count, sums);
  }
};

template <typename S, typename I>
struct RoiBackward {
  using A = Accumulator<S>;
  RoiGrid<S, I> grid;
  View<const S, I> grad_output;
  View<A, I> sums;
  I threads;

  RoiBackward(const RoiAlignArgs& args, bool channels_fastest)
      : grid(args, 1, channels_fastest), grad_output(args.out), sums(args.sums), threads(grid.threads()) {}

  FREQFUSION_HD void operator()(I thread) const {
    const auto at = grid.place(thread);
    const auto row = grid.row(at), column = grid.column(at);
    if (!row.finite || !column.finite) return;
    const A gradient = widen(read(grad_output.at(at.box, at.first, at.y, at.x)));
    A* to = sums.at(grid.image(at), at.first, 0, 0);
    visit_samples(row, column, grid.height, grid.width,
                  [&](I y, I x, A weight) { add_atomically(to + y * sums.row + x * sums.column, weight * gradient); });
  }
};

}  // namespace freqfusion::cuda
