// Gradients of CARAFE on channels-first maps. Both gather, so that no two threads write one element and the order of
// every sum is fixed.
//
// grad_features: a source pixel sums, over the taps that read it, the sub-pixels of the reading window. Eight channels
// accumulate in registers for one block of columns. The output's gradient is split into its sub-pixels once for a
// segment of up to four blocks and kept for the k source rows that need it (kernel 5, scale 2: 64 channels, 410 kB
// of the L2 cache), so that every row of it is read from memory once.
//
// grad_masks: a tap's gradient is a dot product over the group's channels. A few taps * the sub-pixels accumulate in
// registers for one block of columns over 16 channels; the sums of a tile of up to eight blocks wait in the cache.

#include "native/ops/cpu/carafe_backward_blocks.h"
#include "native/ops/cpu/carafe_kernels.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

// ---- grad_features ---------------------------------------------------------------------------------------------

// Adds to one block of columns of sums[channel][column] what `rows` tap rows contribute: row r of the gradient
// [sub-row][sub-column][column] begins at gradient + row[r], weights are [row][sub-row][kx][sub-column][lane].
struct GatherShape {
  int rows, kernel_size, scale;
  const int64_t* row;
  int64_t gradient_channel, gradient_pitch, sums_channel;
};

template <typename T, int Channels>
__attribute__((noinline)) void gather(const GatherShape& shape, const T* gradient, const T* weights, T* sums) {
  constexpr int V = Vec<T>::size;
  Vec<T> acc[Channels];
#pragma GCC unroll 8
  for (int c = 0; c < Channels; ++c) acc[c] = load_aligned(sums + c * shape.sums_channel);
  for (int row = 0; row < shape.rows * shape.scale; ++row) {
    const T* sub_row = gradient + shape.row[row / shape.scale] + row % shape.scale * shape.scale * shape.gradient_pitch;
    for (int kx = 0; kx < shape.kernel_size; ++kx) {
      const T* values = sub_row + (shape.kernel_size - 1 - kx);
      for (int j = 0; j < shape.scale; ++j, weights += V, values += shape.gradient_pitch) {
        const Vec<T> weight = load_aligned(weights);
#pragma GCC unroll 8
        for (int c = 0; c < Channels; ++c) {
          acc[c] = fma(load(values + c * shape.gradient_channel), weight, acc[c]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < Channels; ++c) store_aligned(sums + c * shape.sums_channel, acc[c]);
}

// Columns [begin, end) of grad_features for some channels, row after row. With the reflecting border the columns reach
// k/2 beyond the map, where sums are gathered that belong to the mirrored columns; fold() takes them there.
template <typename Element, int S>
struct Segment {
  using T = Accumulator<Element>;
  static constexpr int V = Vec<T>::size;

  const CarafeArgs& args;
  const CarafeTask& task;
  int64_t begin, end, first_channel, last_channel;
  T* readers;   // [block][tap row of the chunk][i][kx][j][lane]
  T* upstream;  // [channel][source row modulo k][i][j][column], column 0 is begin - k/2
  T* sums;      // [channel][column]

  int64_t blocks() const { return (end - begin + V - 1) / V; }
  int64_t upstream_pitch() const { return round_up(blocks() * V + args.kernel_size - 1, V); }
  int64_t upstream_row() const { return S * S * upstream_pitch(); }
  int64_t sums_pitch() const { return blocks() * V; }
  int64_t row_weights() const { return int64_t{args.kernel_size} * S * S * V; }

  // Splits the gradient of all channels at one source row.
  __attribute__((noinline)) void stage_upstream(int64_t source_row) const {
    const int64_t pitch = upstream_pitch(), slot = source_row % args.kernel_size;
    for (int64_t channel = first_channel; channel < last_channel; ++channel) {
      T* to = upstream + ((channel - first_channel) * args.kernel_size + slot) * upstream_row();
      for (int i = 0; i < S; ++i, to += S * pitch) {
        const Element* from = at<Element>(args.output, task.batch, channel, S * source_row + i, 0);
        // Rows of neighbouring channels are too far apart for the hardware to foresee.
        const Element* next = channel + 1 < last_channel ? from + args.output.channel : from;
        for (int64_t column = 0; column < pitch; column += V) {
          const int64_t x = begin - args.kernel_size / 2 + column;
          for (int j = 0; j < S; ++j) __builtin_prefetch(next + (S * larger(x, 0) + j * V) * args.output.column);
          Vec<T> columns[S];
          load_columns<S>(from, args.output.column, x, args.width, columns);
#pragma GCC unroll 4
          for (int j = 0; j < S; ++j) store_aligned(to + j * pitch + column, columns[j]);
        }
      }
    }
  }

  template <int Channels>
  __attribute__((noinline)) int64_t add_channels(int64_t channel, const GatherShape& shape) const {
    for (; channel + Channels <= last_channel; channel += Channels) {
      for (int64_t block = 0; block < blocks(); ++block) {
        gather<T, Channels>(shape, upstream + (channel - first_channel) * shape.gradient_channel + block * V,
                            readers + block * shape.rows * row_weights(),
                            sums + (channel - first_channel) * shape.sums_channel + block * V);
      }
    }
    return channel;
  }

  void fold(T* row) const {
    if (!args.reflect) return;
    const int64_t last = args.width - 1;
    for (int64_t x = begin; x < 0; ++x) row[-x - begin] += row[x - begin];
    for (int64_t x = last + 1; x < end; ++x) row[2 * last - x - begin] += row[x - begin];
  }

  __attribute__((noinline)) void store_row(int64_t channel, int64_t y, T* row) const {
    fold(row);
    const int64_t stop = smaller(end, args.width);
    Element* to = at<Element>(args.grad_features, task.batch, channel, y, 0);
    int64_t x = larger(begin, 0);
    if (args.grad_features.column == 1) {
      for (; x + V <= stop; x += V) store(to + x, load(row + x - begin));
    }
    for (; x < stop; ++x) to[x * args.grad_features.column] = narrow<Element>(row[x - begin]);
  }

  // Tap rows are taken in chunks whose weights fit their share of the cache; one chunk does for all but the largest
  // kernels.
  __attribute__((noinline)) void gather_row(int64_t y) const {
    const Taps rows = reading_taps(y, args.height, args.kernel_size, args.reflect);
    const int64_t pitch = sums_pitch(), row_bytes = blocks() * row_weights() * static_cast<int64_t>(sizeof(T));
    const int chunk = static_cast<int>(larger(1, kReaderBytes / row_bytes));
    int64_t row_offsets[Taps::capacity];
    for (int row = 0; row < rows.count; ++row) {
      row_offsets[row] = rows.position[row] % args.kernel_size * upstream_row();
    }
    __builtin_memset(sums, 0, static_cast<size_t>((last_channel - first_channel) * pitch) * sizeof(T));
    for (int row = 0; row < rows.count; row += chunk) {
      const int row_end = static_cast<int>(smaller(row + chunk, rows.count));
      for (int64_t block = 0; block < blocks(); ++block) {
        stage_readers<Element, S>(args, task, begin + block * V, rows, row, row_end,
                                  readers + block * (row_end - row) * row_weights());
      }
      const GatherShape shape{
          row_end - row, args.kernel_size, S, row_offsets + row, args.kernel_size * upstream_row(), upstream_pitch(),
          pitch};
      int64_t channel = add_channels<8>(first_channel, shape);
      channel = add_channels<4>(channel, shape);
      add_channels<1>(channel, shape);
    }
    for (int64_t channel = first_channel; channel < last_channel; ++channel) {
      store_row(channel, y, sums + (channel - first_channel) * pitch);
    }
  }

  void run() const {
    const int64_t radius = args.kernel_size / 2;
    int64_t staged = larger(0, task.row_begin - radius);  // source rows from here on are not split yet
    for (int64_t y = task.row_begin; y < task.row_end; ++y) {
      for (; staged < smaller(y + radius + 1, args.height); ++staged) stage_upstream(staged);
      gather_row(y);
    }
  }
};

template <typename Element, int S>
void grad_features(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  using T = Accumulator<Element>;
  const SegmentPlan<T> plan(args);
  T* readers = static_cast<T*>(scratch);
  T* upstream = readers + plan.readers;
  T* sums = upstream + plan.upstream;
  for (int64_t begin = plan.first_column; begin < plan.last_column;) {
    // What is left is never so narrow that a mirrored column would lie in another segment.
    int64_t end = begin + plan.columns;
    if (plan.last_column - end < plan.least) end = plan.last_column;
    for (int64_t channel = task.channel_begin; channel < task.channel_end; channel += plan.channels) {
      const int64_t last = smaller(channel + plan.channels, task.channel_end);
      Segment<Element, S>{args, task, begin, end, channel, last, readers, upstream, sums}.run();
    }
    begin = end;
  }
}

// ---- grad_masks ------------------------------------------------------------------------------------------------

// Taps that accumulate together: taps * sub-pixels fill the registers but for the operands.
template <int Sub>
constexpr int kTaps = kVectorBytes == 64 ? (Sub == 1   ? 9
                                            : Sub == 3 ? 6
                                                       : 5)
                                         : (Sub == 1 ? 9 : 3);

template <typename T>
struct Features {
  const T* first;  // column x - k/2 of the chunk's first channel
  int64_t channel;
};

template <typename T, int Sub, int Count>
__attribute__((noinline)) void dot_products(const Features<T>& features, const int64_t* tap, const T* upstream,
                                            int64_t channels, T* const* sums) {
  constexpr int V = Vec<T>::size;
  Vec<T> acc[Count][Sub];
#pragma GCC unroll 9
  for (int t = 0; t < Count; ++t) {
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) acc[t][u] = load_aligned(sums[t] + u * V);
  }
  const T* feature[Count];
#pragma GCC unroll 9
  for (int t = 0; t < Count; ++t) feature[t] = features.first + tap[t];
  for (int64_t c = 0; c < channels; ++c, upstream += Sub * V) {
    Vec<T> gradient[Sub];
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) gradient[u] = load_aligned(upstream + u * V);
#pragma GCC unroll 9
    for (int t = 0; t < Count; ++t) {
      const Vec<T> value = load(feature[t] + c * features.channel);
#pragma GCC unroll 4
      for (int u = 0; u < Sub; ++u) acc[t][u] = fma(value, gradient[u], acc[t][u]);
    }
  }
#pragma GCC unroll 9
  for (int t = 0; t < Count; ++t) {
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) store_aligned(sums[t] + u * V, acc[t][u]);
  }
}

template <typename Element, int S>
struct MaskBlock {
  using T = Accumulator<Element>;
  static constexpr int V = Vec<T>::size;
  static constexpr int Sub = SubPixels<S>::count;

  const CarafeArgs& args;
  const CarafeTask& task;
  const Taps& rows;
  int64_t y, x;
  int pass;
  T* upstream;  // [channel][sub-pixel][lane]
  T* window;    // [channel][row][column], where the features cannot be read in place
  T* sums;      // [tap][sub-pixel][lane]

  __attribute__((noinline)) void stage_upstream(int64_t channel, int64_t last) const {
    T* to = upstream;
    for (; channel < last; ++channel) {
      for (int i = 0; i < SubPixels<S>::rows; ++i, to += S * V) {
        const int64_t output_row = S * y + pass * SubPixels<S>::rows + i;
        Vec<T> columns[S];
        load_columns<S>(at<Element>(args.output, task.batch, channel, output_row, 0), args.output.column, x, args.width,
                        columns);
#pragma GCC unroll 4
        for (int j = 0; j < S; ++j) store_aligned(to + j * V, columns[j]);
      }
    }
  }

  // What the next block will need, far enough ahead to arrive in time.
  void prefetch(int64_t channel, int64_t last) const {
    const int64_t next = smaller(x + V, args.width - 1);
    for (; channel < last; ++channel) {
      for (int i = 0; i < SubPixels<S>::rows; ++i) {
        const int64_t output_row = S * y + pass * SubPixels<S>::rows + i;
        const Element* gradient = at<Element>(args.output, task.batch, channel, output_row, S * next);
        for (int j = 0; j < S; ++j) __builtin_prefetch(gradient + j * V * args.output.column);
      }
      const Element* feature = at<Element>(args.features, task.batch, channel, 0, next);
      for (int row = 0; row < rows.count; ++row) __builtin_prefetch(feature + rows.position[row] * args.features.row);
    }
  }

  bool in_place() const {
    return sizeof(Element) == sizeof(T) && args.features.column == 1 && is_interior<T>(x, args.width, args.kernel_size);
  }

  __attribute__((noinline)) void add_channels(int64_t channel, int64_t last) const {
    const int k = args.kernel_size;
    const int64_t pitch = round_up(V + k - 1, V);
    Features<T> features{window, rows.count * pitch};
    if (in_place()) {
      features = {at<T>(args.features, task.batch, channel, 0, x - k / 2), args.features.channel};
    } else {
      for (int64_t c = channel; c < last; ++c) {
        stage_window(args, at<Element>(args.features, task.batch, c, 0, 0), x, rows, pitch,
                     window + (c - channel) * features.channel);
      }
    }
    stage_upstream(channel, last);
    prefetch(channel, last);

    int64_t tap[31 * 31];
    T* tap_sums[31 * 31];
    int count = 0;
    for (int row = 0; row < rows.count; ++row) {
      const int64_t row_offset = in_place() ? rows.position[row] * args.features.row : row * pitch;
      for (int kx = 0; kx < k; ++kx, ++count) {
        tap[count] = row_offset + kx;
        tap_sums[count] = sums + (static_cast<int64_t>(rows.kernel[row]) * k + kx) * Sub * V;
      }
    }
    constexpr int most = kTaps<Sub>;
    int t = 0;
    const int64_t channels = last - channel;
    for (; t + most <= count; t += most) {
      dot_products<T, Sub, most>(features, tap + t, upstream, channels, tap_sums + t);
    }
    if constexpr (most > 3) {
      for (; t + 3 <= count; t += 3) dot_products<T, Sub, 3>(features, tap + t, upstream, channels, tap_sums + t);
    }
    for (; t < count; ++t) dot_products<T, Sub, 1>(features, tap + t, upstream, channels, tap_sums + t);
  }

  void finish() const {
    const int k = args.kernel_size;
    if (!args.reflect && !is_interior<T>(x, args.width, k)) {
      for (int tap = 0; tap < k * k; ++tap) {
        for (int u = 0; u < Sub; ++u) clear_outside_lanes(sums + (tap * Sub + u) * V, x, tap % k, k, args.width);
      }
    }
    store_mask_grads<Element, S>(args, task, y, x, pass, sums);
  }
};

template <typename Element, int S>
void grad_masks(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  constexpr int Sub = SubPixels<S>::count;
  const int k = args.kernel_size;
  const int64_t block_sums = int64_t{k} * k * Sub * V;
  const int64_t tile = dot_tile_blocks(block_sums * static_cast<int64_t>(sizeof(T))) * V;
  T* upstream = static_cast<T*>(scratch);
  T* sums = upstream + kDotChannels * Sub * V;
  T* window = sums + tile / V * block_sums;
  for (int64_t begin = 0; begin < args.width; begin += tile) {
    const int64_t end = smaller(begin + tile, args.width), blocks = (end - begin + V - 1) / V;
    for (int64_t y = task.row_begin; y < task.row_end; ++y) {
      const Taps rows = window_taps(y, args.height, k, args.reflect);
      for (int pass = 0; pass < SubPixels<S>::passes; ++pass) {
        const auto block = [&](int64_t b) {
          return MaskBlock<Element, S>{
              args, task, rows, y, begin + b * V, pass, upstream, window, sums + b * block_sums};
        };
        __builtin_memset(sums, 0, static_cast<size_t>(blocks * block_sums) * sizeof(T));
        for (int64_t channel = task.channel_begin; channel < task.channel_end; channel += kDotChannels) {
          const int64_t last = smaller(channel + kDotChannels, task.channel_end);
          for (int64_t b = 0; b < blocks; ++b) block(b).add_channels(channel, last);
        }
        for (int64_t b = 0; b < blocks; ++b) block(b).finish();
      }
    }
  }
}

}  // namespace

void carafe_grad_features(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  FREQFUSION_CARAFE_SWITCH(args, grad_features, args, task, scratch)
}

void carafe_grad_masks(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  FREQFUSION_CARAFE_SWITCH(args, grad_masks, args, task, scratch)
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
