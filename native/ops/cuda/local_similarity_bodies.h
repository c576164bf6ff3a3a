#pragma once

// The bodies of local_similarity. Dot products and norms come out of one pass over the channels: no map of norms.

#include "native/ops/cuda/local_similarity.h"

namespace freqfusion::cuda {

// Taps of one thread. k*k - 1 is a multiple of 8 for every odd k, and exactly 8 for the usual one.
constexpr int kSimilarityTaps = 8;

FREQFUSION_HD float square_root(float x) { return sqrtf(x); }
FREQFUSION_HD double square_root(double x) { return sqrt(x); }

// 1 / max(|x|, 1e-8) from the sum of squares; NaN stays NaN.
template <typename A>
FREQFUSION_HD A inverse_norm(A squares) {
  const A norm = square_root(squares);
  return A(1) / (norm < A(1e-8) ? A(1e-8) : norm);
}

// The pixels that eight taps of one pixel read, and what one pass over the channels finds out about them.
template <typename S, typename I, bool packed>
struct SimilarityTaps {
  using A = Accumulator<S>;
  static constexpr int width = packed ? kPack<S> : 1;
  View<const S, I> x;
  I channels, height, map_width;
  int64_t kernel_size, dilation;

  explicit SimilarityTaps(const LocalSimilarityArgs& args)
      : x(args.x),
        channels(static_cast<I>(args.channels)),
        height(static_cast<I>(args.height)),
        map_width(static_cast<I>(args.width)),
        kernel_size(args.kernel_size),
        dilation(args.dilation) {}

  // `tap` counts the window in row-major order without its centre. False outside the map, where row and column are
  // those of the pixel itself.
  FREQFUSION_HD bool partner(int64_t tap, I py, I px, I* row, I* column) const {
    const int64_t centre = kernel_size * kernel_size / 2, whole = tap < centre ? tap : tap + 1;
    const int64_t ty = py + (whole / kernel_size - kernel_size / 2) * dilation;
    const int64_t tx = px + (whole % kernel_size - kernel_size / 2) * dilation;
    const bool inside = ty >= 0 && ty < height && tx >= 0 && tx < map_width;
    *row = inside ? static_cast<I>(ty) : py;
    *column = inside ? static_cast<I>(tx) : px;
    return inside;
  }

  // Dot products with the pixel `own` and sums of squares of the partners; returns the pixel's own sum of squares.
  FREQFUSION_HD A compare(const S* own, const I* steps, A* dots, A* squares) const {
    A own_squares = 0;
    FREQFUSION_UNROLL
    for (int t = 0; t < kSimilarityTaps; ++t) dots[t] = 0, squares[t] = 0;
    for (I c = 0; c < channels; c += width, own += width * x.channel) {
      A values[width];
      read_block<packed, width>(own, x.channel, width, values);
      FREQFUSION_UNROLL
      for (int v = 0; v < width; ++v) own_squares += values[v] * values[v];
      FREQFUSION_UNROLL
      for (int t = 0; t < kSimilarityTaps; ++t) {
        A others[width];
        read_block<packed, width>(own + steps[t], x.channel, width, others);
        FREQFUSION_UNROLL
        for (int v = 0; v < width; ++v) {
          dots[t] += values[v] * others[v];
          squares[t] += others[v] * others[v];
        }
      }
    }
    return own_squares;
  }
};

template <typename S, typename I, bool packed>
struct SimilarityForward {
  using A = Accumulator<S>;
  SimilarityTaps<S, I, packed> taps;
  View<S, I> out;
  I threads, blocks;
  bool cosine;

  explicit SimilarityForward(const LocalSimilarityArgs& args)
      : taps(args),
        out(args.out),
        blocks(static_cast<I>((args.kernel_size * args.kernel_size - 1) / kSimilarityTaps)),
        cosine(args.cosine) {
    threads = static_cast<I>(args.batch) * blocks * taps.height * taps.map_width;
  }

  FREQFUSION_HD void operator()(I t) const {
    const I px = t % taps.map_width;
    t /= taps.map_width;
    const I py = t % taps.height;
    t /= taps.height;
    const I first = t % blocks * kSimilarityTaps, image = t / blocks;
    I steps[kSimilarityTaps];
    bool inside[kSimilarityTaps];
    FREQFUSION_UNROLL
    for (int i = 0; i < kSimilarityTaps; ++i) {
      I row, column;
      inside[i] = taps.partner(first + i, py, px, &row, &column);
      steps[i] = (row - py) * taps.x.row + (column - px) * taps.x.column;
    }
    A dots[kSimilarityTaps], squares[kSimilarityTaps];
    const A own = taps.compare(taps.x.at(image, 0, py, px), steps, dots, squares);
    FREQFUSION_UNROLL
    for (int i = 0; i < kSimilarityTaps; ++i) {
      A value = dots[i];
      if (cosine) value *= inverse_norm(own) * inverse_norm(squares[i]);
      *out.at(image, first + i, py, px) = narrow<S>(inside[i] ? value : A(0));
    }
  }
};

// The gradient of x(p) gathers, over all taps, K x(p + tap) with K = G_tap(p) + G_mirrored(p + tap): p takes part as
// the centre and as the partner. For the cosine everything is in terms of the unit vectors u = x / |x|, and the part
// of the gradient along u drops out. A thread owns one pixel; with a kernel of 3 it passes twice over the channels,
// with a larger one the weights of each eight taps are found anew for every block of channels.
template <typename S, typename I, bool packed>
struct SimilarityBackward {
  using A = Accumulator<S>;
  using Taps = SimilarityTaps<S, I, packed>;
  static constexpr int block = 16 < Taps::width ? Taps::width : 16;
  Taps taps;
  View<const S, I> grad_output;
  View<S, I> grad_x;
  I threads;
  int64_t tap_count;
  bool cosine;

  explicit SimilarityBackward(const LocalSimilarityArgs& args)
      : taps(args),
        grad_output(args.grad_output),
        grad_x(args.out),
        threads(static_cast<I>(args.batch) * taps.height * taps.map_width),
        tap_count(args.kernel_size * args.kernel_size - 1),
        cosine(args.cosine) {}

  struct Pixel {
    I image, y, x;
  };

  // The weights of eight taps, 0 outside the map; returns their sum of weight * (own . partner).
  FREQFUSION_HD A weigh(const Pixel& at, int64_t first, I* steps, A* weights, A* own_squares) const {
    FREQFUSION_UNROLL
    for (int i = 0; i < kSimilarityTaps; ++i) {
      I row, column;
      const int64_t tap = first + i;
      const bool inside = taps.partner(tap, at.y, at.x, &row, &column);
      steps[i] = (row - at.y) * taps.x.row + (column - at.x) * taps.x.column;
      weights[i] = 0;
      if (inside) {
        weights[i] = widen(read(grad_output.at(at.image, static_cast<I>(tap), at.y, at.x))) +
                     widen(read(grad_output.at(at.image, static_cast<I>(tap_count - 1 - tap), row, column)));
      }
    }
    A along = 0;
    if (cosine) {
      A dots[kSimilarityTaps], squares[kSimilarityTaps];
      *own_squares = taps.compare(taps.x.at(at.image, 0, at.y, at.x), steps, dots, squares);
      FREQFUSION_UNROLL
      for (int i = 0; i < kSimilarityTaps; ++i) {
        weights[i] *= inverse_norm(squares[i]);
        along += weights[i] * dots[i];
      }
    }
    return along;
  }

  FREQFUSION_HD void operator()(I t) const {
    Pixel at;
    at.x = t % taps.map_width, t /= taps.map_width;
    at.y = t % taps.height;
    at.image = t / taps.height;
    I steps[kSimilarityTaps];
    A weights[kSimilarityTaps];
    A own_squares = 0, along = 0;
    int64_t loaded = -1;
    if (cosine) {
      for (int64_t first = 0; first < tap_count; first += kSimilarityTaps) {
        along += weigh(at, first, steps, weights, &own_squares);
        loaded = first;
      }
    }
    const A inverse = cosine ? inverse_norm(own_squares) : A(1);
    // Below the norm's lower bound the length is a constant, and nothing drops out.
    const A part = cosine && inverse < A(1) / A(1e-8) ? along * inverse * inverse : A(0);
    for (I begin = 0; begin < taps.channels; begin += block) {
      const int count = static_cast<int>(taps.channels - begin < block ? taps.channels - begin : block);
      const S* own = taps.x.at(at.image, begin, at.y, at.x);
      A sums[block] = {};
      for (int64_t first = 0; first < tap_count; first += kSimilarityTaps) {
        if (loaded != first) weigh(at, first, steps, weights, &own_squares);
        loaded = first;
        FREQFUSION_UNROLL
        for (int i = 0; i < kSimilarityTaps; ++i) {
          if (weights[i] == A(0) && steps[i] == 0) continue;  // outside the map
          add(own + steps[i], weights[i], count, sums);
        }
      }
      add(own, -part, count, sums);
      FREQFUSION_UNROLL
      for (int c = 0; c < block; ++c) sums[c] *= inverse;
      write(grad_x.at(at.image, begin, at.y, at.x), count, sums);
    }
  }

  FREQFUSION_HD void add(const S* from, A weight, int count, A* sums) const {
    constexpr int step = Taps::width;
    FREQFUSION_UNROLL
    for (int c = 0; c < block; c += step) {
      if (c >= count) break;
      A values[step];
      read_block<packed, step>(from + c * taps.x.channel, taps.x.channel, step, values);
      FREQFUSION_UNROLL
      for (int v = 0; v < step; ++v) sums[c + v] += weight * values[v];
    }
  }

  FREQFUSION_HD void write(S* to, int count, const A* sums) const {
    constexpr int step = Taps::width;
    FREQFUSION_UNROLL
    for (int c = 0; c < block; c += step) {
      if (c >= count) break;
      write_block<packed, step>(to + c * grad_x.channel, grad_x.channel, step, sums + c);
    }
  }
};

}  // namespace freqfusion::cuda
