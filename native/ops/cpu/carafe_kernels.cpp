// CARAFE forward on channels-first maps.
//
// A band is a few source rows, whole but for very wide maps. Its weights are read from the masks once, plane after
// plane, split into one vector for each sub-pixel and kept in the L2 cache: 25 taps * 4 sub-pixels * 16 columns are
// 6.4 kB a block for kernel 5, scale 2, so that 416 kB hold four rows of 256 columns. Then all channels use them, six
// at a time (three with AVX2): a tap costs 6 feature loads and 4 weight loads for 24 multiply-adds in as many
// registers. While a row is worked on, each channel's next row is asked for: many channels take turns, too many streams
// for the hardware to foresee (kernel 3, scale 1, 256 channels of 304 columns: 9.8 -> 3.9 ms). The zero border costs
// masked loads, the reflecting one, and 16-bit storage at the edges, a copied window.

#include "native/ops/cpu/carafe_kernels.h"

#include "native/ops/cpu/carafe_backward_blocks.h"
#include "native/ops/cpu/carafe_blocks.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

// Channels that accumulate together: channels * sub-pixels fill the registers but for the operands.
template <int Sub>
constexpr int kChannels = Sub == 1             ? 8
                          : kVectorBytes == 64 ? 6
                          : Sub == 3           ? 4
                                               : 3;

constexpr bool kHasMaskedLoads = kVectorBytes > 16;

// Where a block's features lie: in the maps themselves, or in a window copied from them and widened.
template <typename F>
struct Source {
  const F* first;      // column x - k/2 of the first channel
  int64_t channel;     // elements from one channel to the next
  const int64_t* row;  // elements to each tap row
  int64_t left;        // columns of the map before `first`, below 0 at its left edge
  int64_t right;       // columns of the map from `first` on
};

// sums[channel][sub-pixel]. At an edge the lanes outside the map read 0; their weights are 0 as well.
template <typename T, typename F, int Sub, int Channels, bool Edge>
FREQFUSION_INLINE void accumulate(const Source<F>& source, int rows, int kernel_size, const T* weights,
                                  Vec<T> (&sums)[Channels][Sub]) {
  constexpr int V = Vec<T>::size;
#pragma GCC unroll 8
  for (int c = 0; c < Channels; ++c) {
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) sums[c][u] = zero<T>();
  }
  for (int row = 0; row < rows; ++row) {
    const F* features = source.first + source.row[row];
    for (int kx = 0; kx < kernel_size; ++kx, weights += Sub * V) {
      Vec<T> weight[Sub];
#pragma GCC unroll 4
      for (int u = 0; u < Sub; ++u) weight[u] = load_aligned(weights + u * V);
      const int first = Edge ? static_cast<int>(larger(0, smaller(V, -source.left - kx))) : 0;
      const int last = Edge ? static_cast<int>(larger(0, smaller(V, source.right - kx))) : V;
#pragma GCC unroll 8
      for (int c = 0; c < Channels; ++c) {
        const F* lanes = features + c * source.channel + kx;
        Vec<T> feature;
        if constexpr (Edge) {
          feature = load_range(lanes, first, last);
        } else {
          feature = load(lanes);
        }
#pragma GCC unroll 4
        for (int u = 0; u < Sub; ++u) sums[c][u] = fma(feature, weight[u], sums[c][u]);
      }
    }
  }
}

// Source rows [y_begin, y_end) and columns [x_begin, x_end) whose weights are kept together, and one pass of their
// sub-pixels.
struct Band {
  int64_t y_begin, y_end, x_begin, x_end;
  int pass;
};

template <typename Element, int S>
struct BandKernel {
  using T = Accumulator<Element>;
  static constexpr int V = Vec<T>::size;
  static constexpr int Sub = SubPixels<S>::count;

  const CarafeArgs& args;
  const CarafeTask& task;
  const Band& band;
  T* weights;  // [row][block][tap][sub-pixel][lane]
  T* window;   // scratch for copied features
  // Of each row: its taps, and where they begin in the map and in the window.
  Taps taps[kBandRows];
  int64_t map_rows[kBandRows][31], window_rows[31];

  int64_t pitch() const { return round_up(V + args.kernel_size - 1, V); }
  int64_t block_values() const { return int64_t{args.kernel_size} * args.kernel_size * Sub * V; }
  int64_t row_values() const { return (band.x_end - band.x_begin + V - 1) / V * block_values(); }

  void find_rows() {
    for (int64_t y = band.y_begin; y < band.y_end; ++y) {
      Taps& rows = taps[y - band.y_begin];
      rows = window_taps(y, args.height, args.kernel_size, args.reflect);
      for (int row = 0; row < rows.count; ++row) {
        window_rows[row] = row * pitch();
        map_rows[y - band.y_begin][row] = rows.position[row] * args.features.row;
      }
    }
  }

  // Plane after plane of the masks, each in the order of its memory.
  void stage_weights() {
    const int k = args.kernel_size;
    for (int tap = 0; tap < k * k; ++tap) {
      for (int64_t y = band.y_begin; y < band.y_end; ++y) {
        const Taps& rows = taps[y - band.y_begin];
        int row = 0;
        while (row < rows.count && rows.kernel[row] != tap / k) ++row;
        if (row == rows.count) continue;
        T* to = weights + (y - band.y_begin) * row_values() + (row * k + tap % k) * Sub * V;
        for (int i = 0; i < SubPixels<S>::rows; ++i, to += S * V) {
          stage_row(at<Element>(args.masks, task.batch, task.group * k * k + tap,
                                S * y + band.pass * SubPixels<S>::rows + i, 0),
                    tap % k, to);
        }
      }
    }
  }

  void stage_row(const Element* masks, int kx, T* to) const {
    for (int64_t x = band.x_begin; x < band.x_end; x += V, to += block_values()) {
      const bool clear = !args.reflect && !is_interior<T>(x, args.width, args.kernel_size);
      Vec<T> columns[S];
      load_columns<S>(masks, args.masks.column, x, args.width, columns);
#pragma GCC unroll 4
      for (int j = 0; j < S; ++j) {
        store_aligned(to + j * V, columns[j]);
        if (clear) clear_outside_lanes(to + j * V, x, kx, args.kernel_size, args.width);
      }
    }
  }

  // Blocks at the edge that can be read where they lie, by masked loads.
  static constexpr bool kEdgeInPlace = kHasMaskedLoads && sizeof(Element) == sizeof(T);

  Source<Element> map_source(int64_t y, int64_t channel, int64_t x) const {
    const int64_t left = x - args.kernel_size / 2;
    return {at<Element>(args.features, task.batch, channel, 0, left), args.features.channel, map_rows[y - band.y_begin],
            left, args.width - left};
  }

  __attribute__((noinline)) Source<T> window_source(int64_t y, int64_t channel, int channels, int64_t x) const {
    const Taps& rows = taps[y - band.y_begin];
    for (int c = 0; c < channels; ++c) {
      stage_window(args, at<Element>(args.features, task.batch, channel + c, 0, 0), x, rows, pitch(),
                   window + c * rows.count * pitch());
    }
    return {window, rows.count * pitch(), window_rows, 0, 0};
  }

  // Asks for what the block below this one will read first: a cache line a channel, two vectors on, because a block's
  // last taps lie beyond its own columns.
  template <int Channels>
  FREQFUSION_INLINE void prefetch_next_row(const Source<Element>& source, int64_t y) const {
    const int64_t last_row = source.row[taps[y - band.y_begin].count - 1];
    const Element* ahead = source.first + last_row + args.features.row + 2 * V;
#pragma GCC unroll 8
    for (int c = 0; c < Channels; ++c) __builtin_prefetch(ahead + c * source.channel, 0, 3);
  }

  // One block of columns of `Channels` channels.
  template <int Channels, bool Edge, typename F>
  __attribute__((noinline)) void block(const Source<F>& source, int64_t y, int64_t channel, int64_t x,
                                       const T* factors) const {
    Vec<T> sums[Channels][Sub];
    accumulate<T, F, Sub, Channels, Edge>(source, taps[y - band.y_begin].count, args.kernel_size, factors, sums);
    const int64_t output_y = S * y + band.pass * SubPixels<S>::rows;
    const int lanes = static_cast<int>(smaller(V, args.width - x));
    Element* output = at<Element>(args.output, task.batch, channel, output_y, 0);
    if constexpr (S == 1) {
      if (args.own != 0) {
        const Vec<T> factor = broadcast<T>(T(args.own));
        const Element* own_row = at<Element>(args.features, task.batch, channel, output_y, 0);
#pragma GCC unroll 8
        for (int c = 0; c < Channels; ++c, own_row += args.features.channel) {
          Vec<T> own[1];
          load_columns<1>(own_row, args.features.column, x, args.width, own);
          sums[c][0] = own[0] * factor - sums[c][0];
        }
      }
    }
#pragma GCC unroll 8
    for (int c = 0; c < Channels; ++c, output += args.output.channel) {
#pragma GCC unroll 2
      for (int i = 0; i < SubPixels<S>::rows; ++i) {
        Vec<T> columns[S];
#pragma GCC unroll 4
        for (int j = 0; j < S; ++j) columns[j] = sums[c][i * S + j];
        store_columns<S>(output + i * args.output.row, args.output.column, x, lanes, columns, args.stream);
      }
    }
  }

  template <int Channels>
  int64_t run(int64_t channel) const {
    for (; channel + Channels <= task.channel_end; channel += Channels) {
      for (int64_t y = band.y_begin; y < band.y_end; ++y) {
        const T* factors = weights + (y - band.y_begin) * row_values();
        for (int64_t x = band.x_begin; x < band.x_end; x += V, factors += block_values()) {
          const bool interior = is_interior<T>(x, args.width, args.kernel_size);
          if (args.features.column == 1 && interior) {
            const Source<Element> source = map_source(y, channel, x);
            prefetch_next_row<Channels>(source, y);
            block<Channels, false>(source, y, channel, x, factors);
            continue;
          }
          if constexpr (kEdgeInPlace) {
            if (args.features.column == 1 && !args.reflect) {
              const Source<Element> source = map_source(y, channel, x);
              prefetch_next_row<Channels>(source, y);
              block<Channels, true>(source, y, channel, x, factors);
              continue;
            }
          }
          block<Channels, false>(window_source(y, channel, Channels, x), y, channel, x, factors);
        }
      }
    }
    return channel;
  }

  void run_all() {
    find_rows();
    stage_weights();
    int64_t channel = task.channel_begin;
    channel = run<kChannels<Sub>>(channel);
    if constexpr (kChannels<Sub> > 4) channel = run<4>(channel);
    channel = run<2>(channel);
    run<1>(channel);
  }
};

// Blocks of columns and rows of a band.
template <typename Element, int S>
struct BandPlan {
  int64_t blocks, rows;

  explicit BandPlan(const CarafeArgs& args) {
    using T = Accumulator<Element>;
    const int64_t block_bytes = args.kernel_size * args.kernel_size * SubPixels<S>::count * kVectorBytes;
    blocks = larger(1, smaller((args.width + Vec<T>::size - 1) / Vec<T>::size, kWeightBytes / block_bytes));
    rows = larger(1, smaller(kBandRows, kWeightBytes / (blocks * block_bytes)));
  }
};

template <typename Element, int S>
void forward(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  const BandPlan<Element, S> plan(args);
  T* weights = static_cast<T*>(scratch);
  T* window = weights + plan.rows * plan.blocks * args.kernel_size * args.kernel_size * SubPixels<S>::count * V;
  for (int64_t x = 0; x < args.width; x += plan.blocks * V) {
    const int64_t x_end = smaller(x + plan.blocks * V, args.width);
    for (int64_t y = task.row_begin; y < task.row_end; y += plan.rows) {
      const int64_t y_end = smaller(y + plan.rows, task.row_end);
      for (int pass = 0; pass < SubPixels<S>::passes; ++pass) {
        const Band band{y, y_end, x, x_end, pass};
        BandKernel<Element, S>{args, task, band, weights, window, {}, {}, {}}.run_all();
      }
    }
  }
  if (args.stream) stream_fence();
}

template <typename Element, int S>
int64_t scratch_bytes(const CarafeArgs& args) {
  using T = Accumulator<Element>;
  constexpr int64_t V = Vec<T>::size, Sub = SubPixels<S>::count;
  const int64_t k = args.kernel_size, block = k * k * Sub * V;
  const int64_t window = k * round_up(V + k - 1, V);
  const SegmentPlan<T> plan(args);
  const BandPlan<Element, S> bands(args);
  const int64_t forward = bands.rows * bands.blocks * block + kMostChannels * window;
  const int64_t dot_blocks = dot_tile_blocks(block * static_cast<int64_t>(sizeof(T)));
  const int64_t grad_masks = kDotChannels * Sub * V + dot_blocks * block + kDotChannels * window;
  const int64_t grad_features = plan.readers + plan.upstream + plan.sums;
  const int64_t grad_features_nhwc = larger(plan.readers, 4 * k * k * S * S);
  return larger(larger(forward, grad_masks), larger(grad_features, grad_features_nhwc)) *
         static_cast<int64_t>(sizeof(T));
}

}  // namespace

int64_t carafe_scratch_bytes(const CarafeArgs& args) { FREQFUSION_CARAFE_SWITCH(args, scratch_bytes, args) return 0; }

void carafe_forward(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  FREQFUSION_CARAFE_SWITCH(args, forward, args, task, scratch)
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
