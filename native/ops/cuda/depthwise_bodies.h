#pragma once

// The bodies of the depthwise convolutions. A thread owns one pixel and 16 bytes of its channels (or one channel).

#include "native/ops/cuda/depthwise.h"
#include "native/ops/cuda/pointwise_bodies.h"

namespace freqfusion::cuda {

// Where the taps and biases of strip_convs begin: 5x5, then 1x7, 7x1, 1x11, 11x1, 1x21, 21x1.
FREQFUSION_HD constexpr int strip_side(int i) { return i == 0 ? 7 : i == 1 ? 11 : 21; }
FREQFUSION_HD constexpr int strip_first(int i) { return 25 + (i == 0 ? 0 : i == 1 ? 14 : 36); }

template <typename S, typename I, bool packed>
struct DepthwiseGrid {
  using A = Accumulator<S>;
  static constexpr int width = packed ? kPack<S> : 1;
  View<const S, I> x;
  View<S, I> output;
  const S *weight, *bias;
  I threads, blocks, height, columns;
  int taps, biases;

  explicit DepthwiseGrid(const DepthwiseArgs& args)
      : x(args.x),
        output(args.output),
        weight(static_cast<const S*>(args.weight)),
        bias(static_cast<const S*>(args.bias)),
        blocks(static_cast<I>(args.channels / width)),
        height(static_cast<I>(args.height)),
        columns(static_cast<I>(args.width)),
        taps(static_cast<int>(args.taps)),
        biases(static_cast<int>(args.biases)) {
    threads = static_cast<I>(args.batch) * height * columns * blocks;
  }

  struct Place {
    I image, y, x, channel;
  };
  FREQFUSION_HD Place place(I t) const {
    Place at;
    at.channel = t % blocks * width, t /= blocks;
    at.x = t % columns, t /= columns;
    at.y = t % height;
    at.image = t / height;
    return at;
  }

  FREQFUSION_HD static void load(const S* from, A* values) { read_block<packed, width>(from, I(1), width, values); }
  FREQFUSION_HD void start(const Place& at, int row, A* sums) const {
    load(bias + (at.channel / 16 * biases + row) * 16 + at.channel % 16, sums);
  }
  // sums += tap * the map at (y, x), nothing outside.
  FREQFUSION_HD void add(const View<const S, I>& map, const Place& at, I y, I px, int tap, A* sums) const {
    if (y < 0 || y >= height || px < 0 || px >= columns) return;
    A values[width], weights[width];
    load(map.at(at.image, at.channel, y, px), values);
    load(weight + (at.channel / 16 * taps + tap) * 16 + at.channel % 16, weights);
    FREQFUSION_UNROLL
    for (int v = 0; v < width; ++v) sums[v] += weights[v] * values[v];
  }
  FREQFUSION_HD static void write(const View<S, I>& map, const Place& at, const A* sums) {
    write_block<packed, width>(map.at(at.image, at.channel, at.y, at.x), I(1), width, sums);
  }
};

template <typename S, typename I, bool packed, int k, bool activated>
struct DepthwiseSquare {
  using Grid = DepthwiseGrid<S, I, packed>;
  Grid grid;
  I threads;

  explicit DepthwiseSquare(const DepthwiseArgs& args) : grid(args), threads(grid.threads) {}

  FREQFUSION_HD void operator()(I thread) const {
    const auto at = grid.place(thread);
    Accumulator<S> sums[Grid::width];
    grid.start(at, 0, sums);
    FREQFUSION_UNROLL
    for (int t = 0; t < k * k; ++t) grid.add(grid.x, at, at.y + t / k - k / 2, at.x + t % k - k / 2, t, sums);
    if constexpr (activated) {
      FREQFUSION_UNROLL
      for (int v = 0; v < Grid::width; ++v) sums[v] = gelu(sums[v]);
    }
    Grid::write(grid.output, at, sums);
  }
};

template <typename S, typename I, bool packed>
struct HorizontalStrips {
  using Grid = DepthwiseGrid<S, I, packed>;
  Grid grid;
  View<S, I> strips[3];
  I threads;

  explicit HorizontalStrips(const DepthwiseArgs& args) : grid(args), threads(grid.threads) {
    for (int i = 0; i < 3; ++i) strips[i] = View<S, I>(args.strips[i]);
  }

  template <int i>
  FREQFUSION_HD void strip(const typename Grid::Place& at) const {
    constexpr int side = strip_side(i);
    Accumulator<S> sums[Grid::width];
    grid.start(at, 1 + 2 * i, sums);
    FREQFUSION_UNROLL
    for (int t = 0; t < side; ++t) grid.add(grid.x, at, at.y, at.x + t - side / 2, strip_first(i) + t, sums);
    Grid::write(strips[i], at, sums);
  }

  FREQFUSION_HD void operator()(I thread) const {
    const auto at = grid.place(thread);
    strip<0>(at);
    strip<1>(at);
    strip<2>(at);
  }
};

template <typename S, typename I, bool packed>
struct VerticalStrips {
  using Grid = DepthwiseGrid<S, I, packed>;
  using A = Accumulator<S>;
  Grid grid;
  View<const S, I> strips[3];
  I threads;

  explicit VerticalStrips(const DepthwiseArgs& args) : grid(args), threads(grid.threads) {
    for (int i = 0; i < 3; ++i) strips[i] = View<const S, I>(args.strips[i]);
  }

  template <int i>
  FREQFUSION_HD void strip(const typename Grid::Place& at, A* sums) const {
    constexpr int side = strip_side(i);
    A bias[Grid::width];
    grid.start(at, 2 + 2 * i, bias);
    FREQFUSION_UNROLL
    for (int v = 0; v < Grid::width; ++v) sums[v] += bias[v];
    FREQFUSION_UNROLL
    for (int t = 0; t < side; ++t) grid.add(strips[i], at, at.y + t - side / 2, at.x, strip_first(i) + side + t, sums);
  }

  FREQFUSION_HD void operator()(I thread) const {
    const auto at = grid.place(thread);
    A sums[Grid::width];
    Grid::load(grid.x.at(at.image, at.channel, at.y, at.x), sums);
    strip<0>(at, sums);
    strip<1>(at, sums);
    strip<2>(at, sums);
    Grid::write(grid.output, at, sums);
  }
};

}  // namespace freqfusion::cuda
