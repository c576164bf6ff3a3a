#pragma once

// What the CARAFE kernels share: which taps of a window lie inside the map, and the movement of blocks of columns
// between memory and registers.
//
// A block is one vector of neighbouring source columns (16 floats with AVX-512). An output row holds `scale`
// columns for each of them, so it is split into `scale` vectors on load and merged on store; the arithmetic between
// then needs no shuffles at all.

#include "native/ops/cpu/carafe_kernels.h"
#include "native/ops/cpu/vec.h"
#include "native/ops/cpu/vec_shuffle.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

// Sub-pixels of a source pixel that one pass accumulates together: all four for scale 2, one output row of them for
// scale 3 and 4, whose 9 and 16 would not fit the registers.
template <int S>
struct SubPixels {
  static constexpr int rows = S == 2 ? 2 : 1;
  static constexpr int count = rows * S;
  static constexpr int passes = S / rows;
};

constexpr int64_t kWeightBytes = 416 << 10;  // a forward band's weights: they stay in the L2 cache
constexpr int64_t kBandRows = 16;            // source rows of a band at most
constexpr int kMostChannels = 8;             // that a channels-first kernel works on together

// S is a constant of the kernel, Element one of float, double, Float16, BFloat16.
#define FREQFUSION_CARAFE_SWITCH(args, function, ...)                       \
  switch ((args).storage) {                                                 \
    case Storage::f32:                                                      \
      FREQFUSION_CARAFE_SWITCH_SCALE(args, function, float, __VA_ARGS__)    \
    case Storage::f64:                                                      \
      FREQFUSION_CARAFE_SWITCH_SCALE(args, function, double, __VA_ARGS__)   \
    case Storage::f16:                                                      \
      FREQFUSION_CARAFE_SWITCH_SCALE(args, function, Float16, __VA_ARGS__)  \
    case Storage::bf16:                                                     \
      FREQFUSION_CARAFE_SWITCH_SCALE(args, function, BFloat16, __VA_ARGS__) \
  }
#define FREQFUSION_CARAFE_SWITCH_SCALE(args, function, Element, ...) \
  switch ((args).scale) {                                            \
    case 1:                                                          \
      return function<Element, 1>(__VA_ARGS__);                      \
    case 2:                                                          \
      return function<Element, 2>(__VA_ARGS__);                      \
    case 3:                                                          \
      return function<Element, 3>(__VA_ARGS__);                      \
    default:                                                         \
      return function<Element, 4>(__VA_ARGS__);                      \
  }

template <typename Element>
FREQFUSION_INLINE Element* at(const Map& map, int64_t n, int64_t c, int64_t y, int64_t x) {
  return static_cast<Element*>(map.data) + n * map.image + c * map.channel + y * map.row + x * map.column;
}

FREQFUSION_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
FREQFUSION_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
FREQFUSION_INLINE int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

FREQFUSION_INLINE bool inside(int64_t i, int64_t size) { return i >= 0 && i < size; }
// The edge pixel is not repeated. Sizes are above the kernel's radius, so one reflection is enough.
FREQFUSION_INLINE int64_t reflected(int64_t i, int64_t size) { return i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i; }

// Pairs of a kernel index and a position along one axis. A position has up to three of them for each kernel index:
// its own and its reflections at both ends.
struct Taps {
  static constexpr int capacity = 3 * 31;
  int count = 0;
  int kernel[capacity];
  int64_t position[capacity];

  void add(int kernel_index, int64_t at_position) {
    kernel[count] = kernel_index;
    position[count++] = at_position;
  }
};

// What the window around `center` reads.
inline Taps window_taps(int64_t center, int64_t size, int kernel_size, bool reflect) {
  Taps taps;
  for (int i = 0; i < kernel_size; ++i) {
    const int64_t position = center + i - kernel_size / 2;
    if (inside(position, size)) {
      taps.add(i, position);
    } else if (reflect) {
      taps.add(i, reflected(position, size));
    }
  }
  return taps;
}

// Which windows read `target`, and with which tap.
inline Taps reading_taps(int64_t target, int64_t size, int kernel_size, bool reflect) {
  const int64_t images[3] = {target, -target, 2 * (size - 1) - target};
  const bool is_image[3] = {true, reflect && target > 0, reflect && target < size - 1};
  Taps taps;
  for (int image = 0; image < 3; ++image) {
    if (!is_image[image]) continue;
    for (int i = 0; i < kernel_size; ++i) {
      const int64_t center = images[image] - i + kernel_size / 2;
      if (inside(center, size)) taps.add(i, center);
    }
  }
  return taps;
}

// ---- splitting and merging rows of the output's size -----------------------------------------------------------

template <int S, typename T>
FREQFUSION_INLINE void split(const Vec<T> (&in)[S], Vec<T> (&out)[S]) {
  if constexpr (S == 1) {
    out[0] = in[0];
  } else if constexpr (S == 2) {
    const auto columns = deinterleave(in[0], in[1]);
    out[0] = columns.first;
    out[1] = columns.second;
  } else if constexpr (S == 4) {
    const auto low = deinterleave(in[0], in[1]), high = deinterleave(in[2], in[3]);
    const auto even = deinterleave(low.first, high.first), odd = deinterleave(low.second, high.second);
    out[0] = even.first;
    out[1] = odd.first;
    out[2] = even.second;
    out[3] = odd.second;
  } else {
    constexpr int V = Vec<T>::size;
    T merged[S * V], columns[S][V];
    for (int i = 0; i < S; ++i) store(merged + i * V, in[i]);
    for (int lane = 0; lane < V; ++lane) {
      for (int j = 0; j < S; ++j) columns[j][lane] = merged[S * lane + j];
    }
    for (int j = 0; j < S; ++j) out[j] = load(columns[j]);
  }
}

template <int S, typename T>
FREQFUSION_INLINE void merge(const Vec<T> (&in)[S], Vec<T> (&out)[S]) {
  if constexpr (S == 1) {
    out[0] = in[0];
  } else if constexpr (S == 2) {
    const auto merged = interleave(in[0], in[1]);
    out[0] = merged.first;
    out[1] = merged.second;
  } else if constexpr (S == 4) {
    const auto even = interleave(in[0], in[2]), odd = interleave(in[1], in[3]);
    const auto low = interleave(even.first, odd.first), high = interleave(even.second, odd.second);
    out[0] = low.first;
    out[1] = low.second;
    out[2] = high.first;
    out[3] = high.second;
  } else {
    constexpr int V = Vec<T>::size;
    T merged[S * V], columns[S][V];
    for (int j = 0; j < S; ++j) store(columns[j], in[j]);
    for (int lane = 0; lane < V; ++lane) {
      for (int j = 0; j < S; ++j) merged[S * lane + j] = columns[j][lane];
    }
    for (int i = 0; i < S; ++i) out[i] = load(merged + i * V);
  }
}

// The general case of load_columns, out of line: edges of the map and columns that are no neighbours in memory.
template <int S, typename Element>
__attribute__((noinline)) void load_edge_columns(const Element* row, int64_t stride, int64_t x, int64_t width,
                                                 Vec<Accumulator<Element>> (&out)[S]) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  const int first = static_cast<int>(x < 0 ? smaller(-x, V) : 0);
  const int last = static_cast<int>(larger(smaller(V, width - x), 0));
  if (stride == 1 && first == 0) {
    Vec<T> in[S];
    for (int i = 0; i < S; ++i) {
      const int count = static_cast<int>(larger(smaller(S * last - i * V, V), 0));
      in[i] = count > 0 ? load_partial(row + S * x + i * V, count) : zero<T>();
    }
    return split<S, T>(in, out);
  }
  T columns[S][V] = {};
  for (int lane = first; lane < last; ++lane) {
    for (int j = 0; j < S; ++j) columns[j][lane] = widen(row[(S * (x + lane) + j) * stride]);
  }
  for (int j = 0; j < S; ++j) out[j] = load(columns[j]);
}

// out[j][lane] = row[S * (x + lane) + j], 0 where the source column x + lane is not in [0, width).
template <int S, typename Element>
FREQFUSION_INLINE void load_columns(const Element* row, int64_t stride, int64_t x, int64_t width,
                                    Vec<Accumulator<Element>> (&out)[S]) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  if (stride != 1 || x < 0 || x + V > width) return load_edge_columns<S>(row, stride, x, width, out);
  Vec<T> in[S];
  for (int i = 0; i < S; ++i) in[i] = load(row + S * x + i * V);
  split<S, T>(in, out);
}

// The general case of store_columns.
template <int S, typename Element>
__attribute__((noinline)) void store_edge_columns(Element* row, int64_t stride, int64_t x, int lanes,
                                                  const Vec<Accumulator<Element>> (&in)[S]) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  if (stride == 1) {
    Vec<T> out[S];
    merge<S, T>(in, out);
    for (int i = 0; i < S; ++i) {
      const int count = static_cast<int>(larger(smaller(S * lanes - i * V, V), 0));
      if (count > 0) store_partial(row + S * x + i * V, out[i], count);
    }
    return;
  }
  T columns[S][V];
  for (int j = 0; j < S; ++j) store(columns[j], in[j]);
  for (int lane = 0; lane < lanes; ++lane) {
    for (int j = 0; j < S; ++j) row[(S * (x + lane) + j) * stride] = narrow<Element>(columns[j][lane]);
  }
}

// The inverse of load_columns, for the first `lanes` source columns from x >= 0 on.
template <int S, typename Element>
FREQFUSION_INLINE void store_columns(Element* row, int64_t stride, int64_t x, int lanes,
                                     const Vec<Accumulator<Element>> (&in)[S], bool stream) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  if (stride != 1 || lanes != V) return store_edge_columns<S>(row, stride, x, lanes, in);
  Vec<T> out[S];
  merge<S, T>(in, out);
  Element* target = row + S * x;
  for (int i = 0; i < S; ++i) {
    if (stream) {
      store_stream(target + i * V, out[i]);
    } else {
      store(target + i * V, out[i]);
    }
  }
}

// ---- blocks ----------------------------------------------------------------------------------------------------

// The lanes of a block at x whose tap kx falls outside the map add nothing, whatever the mask holds there.
template <typename T>
FREQFUSION_INLINE void clear_outside_lanes(T* lanes, int64_t x, int kx, int kernel_size, int64_t width) {
  constexpr int V = Vec<T>::size;
  const int64_t shifted = x + kx - kernel_size / 2;
  for (int64_t lane = 0; lane < smaller(-shifted, V); ++lane) lanes[lane] = T(0);
  for (int64_t lane = larger(width - shifted, 0); lane < V; ++lane) lanes[lane] = T(0);
}

// Every tap of every lane lies inside the map's columns.
template <typename T>
FREQFUSION_INLINE bool is_interior(int64_t x, int64_t width, int kernel_size) {
  return x >= kernel_size / 2 && x + Vec<T>::size + kernel_size / 2 <= width;
}

// Weights of the block of source columns at x in row y: weights[tap][sub-pixel of this pass][lane].
template <typename Element, int S>
__attribute__((noinline)) void stage_weights(const CarafeArgs& args, const CarafeTask& task, int64_t y, int64_t x,
                                             int pass, const Taps& rows, Accumulator<Element>* weights) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  const int k = args.kernel_size;
  const bool clear = !args.reflect && !is_interior<T>(x, args.width, k);
  for (int row = 0; row < rows.count; ++row) {
    for (int kx = 0; kx < k; ++kx) {
      const int64_t channel = (task.group * k + rows.kernel[row]) * k + kx;
      for (int i = 0; i < SubPixels<S>::rows; ++i) {
        const int64_t output_row = S * y + pass * SubPixels<S>::rows + i;
        Vec<T> columns[S];
        load_columns<S>(at<Element>(args.masks, task.batch, channel, output_row, 0), args.masks.column, x, args.width,
                        columns);
        for (int j = 0; j < S; ++j, weights += V) {
          store_aligned(weights, columns[j]);
          if (clear) clear_outside_lanes(weights, x, kx, k, args.width);
        }
      }
    }
  }
}

// Columns that the block at x reads, with the border applied: window[row][column], column 0 is x - k/2.
// Pixels beyond the border's reach are 0.
template <typename Element>
__attribute__((noinline)) void stage_window(const CarafeArgs& args, const Element* channel, int64_t x, const Taps& rows,
                                            int64_t pitch, Accumulator<Element>* window) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  const int radius = args.kernel_size / 2;
  const int64_t left = x - radius, count = V + 2 * radius, width = args.width, stride = args.features.column;
  const int64_t first = larger(-left, 0), last = smaller(count, width - left);
  for (int row = 0; row < rows.count; ++row, window += pitch) {
    const Element* source = channel + rows.position[row] * args.features.row;
    if (stride == 1) {
      int64_t column = first;
      for (; column + V <= last; column += V) store(window + column, load(source + left + column));
      if (column < last) {
        const int rest = static_cast<int>(last - column);
        store_partial(window + column, load_partial(source + left + column, rest), rest);
      }
    } else {
      for (int64_t column = first; column < last; ++column) window[column] = widen(source[(left + column) * stride]);
    }
    for (int64_t column = 0; column < first; ++column) {
      window[column] = args.reflect ? widen(source[reflected(left + column, width) * stride]) : T(0);
    }
    for (int64_t column = last; column < count; ++column) {
      const bool reached = args.reflect && left + column < width + radius;
      window[column] = reached ? widen(source[reflected(left + column, width) * stride]) : T(0);
    }
  }
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
