// CARAFE forward on channels-first maps.
//
// A tile is a run of source columns of one source row. Its weights are read from the masks once, split into one
// vector for each sub-pixel and kept in the L2 cache (25 taps * 4 sub-pixels * 16 columns = 6.4 kB a block for kernel
// 5, scale 2, of which the tile has up to 20), then used by all channels. For each block, 4 channels * 4 sub-pixels
// accumulate in 16 registers: a tap costs 4 feature loads and 4 weight loads for 16 multiply-adds, so the multipliers
// are the limit, not the loads. Wide tiles matter: a channel's rows are then read and written in runs that the memory
// serves well. The zero border costs masked loads, the reflecting one and 16-bit storage a copied window.

#include "native/ops/cpu/carafe_kernels.h"

#include "native/ops/cpu/carafe_backward_blocks.h"
#include "native/ops/cpu/carafe_blocks.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

// Channels that accumulate together: channels * sub-pixels fill the registers but for the operands.
template <int Sub>
constexpr int kChannels = Sub == 1                           ? 8
                          : (kVectorBytes == 64 || Sub == 3) ? 4
                                                             : 3;

constexpr bool kHasMaskedLoads = kVectorBytes > 16;

// Where a block's features lie: in the maps themselves, or in a window copied from them.
template <typename T>
struct Source {
  const T* first;      // column x - k/2 of the first channel
  int64_t channel;     // elements from one channel to the next
  const int64_t* row;  // elements to each tap row
  int64_t left;        // columns of the map that lie before `first`, below 0 at its left edge
  int64_t right;       // columns of the map from `first` on
};

// results[channel][sub-pixel][lane]. At an edge the lanes outside the map read 0; their weights are 0 as well.
template <typename T, int Sub, int Channels, bool Edge>
__attribute__((noinline)) void accumulate(const Source<T>& source, int rows, int kernel_size, const T* weights,
                                          T* results) {
  constexpr int V = Vec<T>::size;
  Vec<T> acc[Channels][Sub];
#pragma GCC unroll 8
  for (int c = 0; c < Channels; ++c) {
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) acc[c][u] = zero<T>();
  }
  for (int row = 0; row < rows; ++row) {
    const T* features = source.first + source.row[row];
    for (int kx = 0; kx < kernel_size; ++kx, weights += Sub * V) {
      Vec<T> weight[Sub];
#pragma GCC unroll 4
      for (int u = 0; u < Sub; ++u) weight[u] = load_aligned(weights + u * V);
      const int first = Edge ? static_cast<int>(larger(0, smaller(V, -source.left - kx))) : 0;
      const int last = Edge ? static_cast<int>(larger(0, smaller(V, source.right - kx))) : V;
#pragma GCC unroll 8
      for (int c = 0; c < Channels; ++c) {
        const T* lanes = features + c * source.channel + kx;
        const Vec<T> feature = Edge ? load_range(lanes, first, last) : load(lanes);
#pragma GCC unroll 4
        for (int u = 0; u < Sub; ++u) acc[c][u] = fma(feature, weight[u], acc[c][u]);
      }
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < Channels; ++c) {
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) store_aligned(results + (c * Sub + u) * V, acc[c][u]);
  }
}

// One tile's row and pass.
template <typename Element, int S>
struct TileRow {
  using T = Accumulator<Element>;
  static constexpr int V = Vec<T>::size;
  static constexpr int Sub = SubPixels<S>::count;

  const CarafeArgs& args;
  const CarafeTask& task;
  const Taps& rows;
  int64_t y, x_begin, x_end;
  int pass;
  const T* weights;                                               // [block][tap][sub-pixel][lane]
  T* window;                                                      // scratch for copied features
  int64_t window_rows[Taps::capacity], map_rows[Taps::capacity];  // where the tap rows begin in either source

  int64_t pitch() const { return round_up(V + args.kernel_size - 1, V); }

  void find_rows() {
    for (int row = 0; row < rows.count; ++row) {
      window_rows[row] = row * pitch();
      map_rows[row] = rows.position[row] * args.features.row;
    }
  }

  // Features that can be read where they lie; at the edges the zero border alone, by masked loads.
  bool in_place(bool interior) const {
    return sizeof(Element) == sizeof(T) && args.features.column == 1 &&
           (interior || (kHasMaskedLoads && !args.reflect));
  }

  Source<T> map_source(int64_t channel, int64_t x) const {
    const int64_t left = x - args.kernel_size / 2;
    return {at<T>(args.features, task.batch, channel, 0, left), args.features.channel, map_rows, left,
            args.width - left};
  }

  __attribute__((noinline)) Source<T> window_source(int64_t channel, int channels, int64_t x) const {
    for (int c = 0; c < channels; ++c) {
      stage_window(args, at<Element>(args.features, task.batch, channel + c, 0, 0), x, rows, pitch(),
                   window + c * rows.count * pitch());
    }
    return {window, rows.count * pitch(), window_rows, 0, 0};
  }

  // The next channels' part of this block is on its way from memory while this one is computed: rows of neighbouring
  // channels are too far apart for the hardware to foresee.
  __attribute__((noinline)) void prefetch(int64_t channel, int channels, int64_t x) const {
    // Once a cache line.
    if (!in_place(true) || x / V % (64 / kVectorBytes) != 0) return;
    const int64_t last = smaller(channel + channels, task.channel_end);
    for (; channel < last; ++channel) {
      const T* column = at<T>(args.features, task.batch, channel, 0, x);
      for (int row = 0; row < rows.count; ++row) __builtin_prefetch(column + map_rows[row]);
    }
  }

  __attribute__((noinline)) void store_block(int64_t channel, int channels, int64_t x, const T* results) const {
    const int lanes = static_cast<int>(smaller(V, args.width - x));
    for (int c = 0; c < channels; ++c) {
      for (int i = 0; i < SubPixels<S>::rows; ++i, results += S * V) {
        Element* row = at<Element>(args.output, task.batch, channel + c, S * y + pass * SubPixels<S>::rows + i, 0);
        Vec<T> columns[S];
#pragma GCC unroll 4
        for (int j = 0; j < S; ++j) columns[j] = load_aligned(results + j * V);
        if constexpr (S == 1) {
          if (args.own != 0) {
            Vec<T> own[1];
            load_columns<1>(at<Element>(args.features, task.batch, channel + c, y, 0), args.features.column, x,
                            args.width, own);
            columns[0] = own[0] * broadcast<T>(T(args.own)) - columns[0];
          }
        }
        store_columns<S>(row, args.output.column, x, lanes, columns, args.stream);
      }
    }
  }

  template <int Channels>
  int64_t run(int64_t channel) const {
    const int k = args.kernel_size;
    alignas(kVectorBytes) T results[Channels * Sub * V];
    const T* block = weights;
    for (; channel + Channels <= task.channel_end; channel += Channels, block = weights) {
      for (int64_t x = x_begin; x < x_end; x += V, block += rows.count * k * Sub * V) {
        prefetch(channel + Channels, Channels, x);
        const bool interior = is_interior<T>(x, args.width, k);
        if (!in_place(interior)) {
          accumulate<T, Sub, Channels, false>(window_source(channel, Channels, x), rows.count, k, block, results);
        } else if (interior) {
          accumulate<T, Sub, Channels, false>(map_source(channel, x), rows.count, k, block, results);
        } else {
          accumulate<T, Sub, Channels, true>(map_source(channel, x), rows.count, k, block, results);
        }
        store_block(channel, Channels, x, results);
      }
    }
    return channel;
  }

  void run_all() {
    find_rows();
    int64_t channel = task.channel_begin;
    channel = run<kChannels<Sub>>(channel);
    if constexpr (kChannels<Sub> > 4) channel = run<4>(channel);
    channel = run<2>(channel);
    run<1>(channel);
  }
};

template <typename Element, int S>
int64_t tile_blocks(const CarafeArgs& args) {
  const int64_t taps = args.kernel_size * args.kernel_size;
  const int64_t block_bytes = taps * SubPixels<S>::count * kVectorBytes;
  return larger(1, smaller(32, kWeightBytes / block_bytes));
}

template <typename Element, int S>
void forward(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  constexpr int Sub = SubPixels<S>::count;
  const int k = args.kernel_size;
  const int64_t blocks = tile_blocks<Element, S>(args);
  T* weights = static_cast<T*>(scratch);
  T* window = weights + blocks * k * k * Sub * V;
  for (int64_t x = 0; x < args.width; x += blocks * V) {
    const int64_t x_end = smaller(x + blocks * V, args.width);
    for (int64_t y = task.row_begin; y < task.row_end; ++y) {
      const Taps rows = window_taps(y, args.height, k, args.reflect);
      for (int pass = 0; pass < SubPixels<S>::passes; ++pass) {
        T* block = weights;
        for (int64_t column = x; column < x_end; column += V, block += rows.count * k * Sub * V) {
          stage_weights<Element, S>(args, task, y, column, pass, rows, block);
        }
        TileRow<Element, S>{args, task, rows, y, x, x_end, pass, weights, window, {}, {}}.run_all();
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
  const int64_t forward = tile_blocks<Element, S>(args) * block + kMostChannels * window;
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
