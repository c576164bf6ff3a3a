// Gradients of CARAFE on channels-last maps, gathered as on channels-first ones: channels fill the vectors, so a
// source pixel's gradient is a sum of broadcast weights times whole feature vectors of the output's gradient, and a
// mask's gradient is a dot product along contiguous memory.

#include "native/ops/cpu/carafe_backward_blocks.h"
#include "native/ops/cpu/carafe_kernels.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

// ---- grad_features ---------------------------------------------------------------------------------------------

// What one source pixel sums: weights[row][column] times the gradient's feature vectors at rows[row] + columns[column].
// Rows are (tap row, sub-row) pairs, columns the same along x.
template <typename T>
struct Readers {
  const T* weights;
  int64_t weight_step;
  int row_count, column_count;
  const int64_t* rows;
  const int64_t* columns;
};

// Vectors whole vectors of channels, or with Partial the first `lanes` lanes of a single one.
template <typename Element, int Vectors, bool Partial>
__attribute__((noinline)) void gather(const Element* gradient, const Readers<Accumulator<Element>>& readers, int lanes,
                                      Element* to) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  Vec<T> acc[Vectors];
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) acc[v] = zero<T>();
  const T* weight = readers.weights;
  for (int row = 0; row < readers.row_count; ++row) {
    const Element* source_row = gradient + readers.rows[row];
    for (int column = 0; column < readers.column_count; ++column, weight += readers.weight_step) {
      const Element* source = source_row + readers.columns[column];
      const Vec<T> factor = broadcast(*weight);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) {
        acc[v] = fma(Partial ? load_partial(source, lanes) : load(source + v * V), factor, acc[v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < Vectors; ++v) {
    if (Partial) {
      store_partial(to, acc[v], lanes);
    } else {
      store(to + v * V, acc[v]);
    }
  }
}

template <typename Element>
void gather_pixel(const Element* gradient, const Readers<Accumulator<Element>>& readers, int64_t channels,
                  Element* to) {
  constexpr int V = Vec<Accumulator<Element>>::size;
  int64_t channel = 0;
  for (; channel + 8 * V <= channels; channel += 8 * V) {
    gather<Element, 8, false>(gradient + channel, readers, V, to + channel);
  }
  for (; channel + 2 * V <= channels; channel += 2 * V) {
    gather<Element, 2, false>(gradient + channel, readers, V, to + channel);
  }
  for (; channel < channels; channel += V) {
    const int lanes = static_cast<int>(smaller(V, channels - channel));
    gather<Element, 1, true>(gradient + channel, readers, lanes, to + channel);
  }
}

// The weights of a pixel whose readers include mirrored columns or too few of them, read one by one.
template <typename Element, int S>
void read_weights(const CarafeArgs& args, const CarafeTask& task, const Taps& rows, const Taps& columns,
                  Accumulator<Element>* weights) {
  const int k = args.kernel_size;
  for (int row = 0; row < rows.count; ++row) {
#pragma GCC unroll 4
    for (int i = 0; i < S; ++i) {
      for (int column = 0; column < columns.count; ++column) {
        const int64_t channel = (task.group * k + rows.kernel[row]) * k + columns.kernel[column];
        const Element* mask =
            at<Element>(args.masks, task.batch, channel, S * rows.position[row] + i, S * columns.position[column]);
#pragma GCC unroll 4
        for (int j = 0; j < S; ++j) *weights++ = widen(mask[j * args.masks.column]);
      }
    }
  }
}

template <typename Element, int S>
void grad_features(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  const int k = args.kernel_size;
  T* staged = static_cast<T*>(scratch);
  T* listed = staged;
  const int64_t channels = task.channel_end - task.channel_begin;
  int64_t row_offsets[4 * Taps::capacity], column_offsets[4 * Taps::capacity];
  for (int64_t y = task.row_begin; y < task.row_end; ++y) {
    const Taps rows = reading_taps(y, args.height, k, args.reflect);
    for (int row = 0; row < rows.count * S; ++row) {
      row_offsets[row] = (S * rows.position[row / S] + row % S) * args.output.row;
    }
    int64_t staged_x = -V;  // the block whose weights are staged
    for (int64_t x = 0; x < args.width; ++x) {
      const Taps columns = reading_taps(x, args.width, k, args.reflect);
      for (int column = 0; column < columns.count * S; ++column) {
        column_offsets[column] = (S * columns.position[column / S] + column % S) * args.output.column;
      }
      // Away from the edges all k columns read the pixel, in the order of their taps; mirrored ones come near them.
      const bool interior = columns.count == k && x >= k / 2 && x + k / 2 < args.width;
      Readers<T> readers{listed, 1, rows.count * S, columns.count * S, row_offsets, column_offsets};
      if (interior && sizeof(T) * rows.count * k * S * S * V <= kReaderBytes) {
        if (x - staged_x >= V) {
          staged_x = x;
          stage_readers<Element, S>(args, task, x, rows, 0, rows.count, staged);
        }
        readers.weights = staged + (x - staged_x);
        readers.weight_step = V;
      } else {
        read_weights<Element, S>(args, task, rows, columns, listed);
        staged_x = -V;
      }
      gather_pixel<Element>(at<Element>(args.output, task.batch, task.channel_begin, 0, 0), readers, channels,
                            at<Element>(args.grad_features, task.batch, task.channel_begin, y, x));
    }
  }
}

// ---- grad_masks ------------------------------------------------------------------------------------------------

template <int Sub>
constexpr int kTaps = kVectorBytes == 64 ? (Sub == 1 ? 8 : 4) : (Sub == 1 ? 6 : 3);

// sums[tap * step + u * V] = dot(features at taps[tap], gradient at sub-pixel u) over the channels.
template <typename Element, int Sub, int Count>
__attribute__((noinline)) void dot_products(const Element* features, const int64_t* taps,
                                            const Element* const* gradient, int64_t channels,
                                            Accumulator<Element>* const* sums) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  Vec<T> acc[Count][Sub];
#pragma GCC unroll 9
  for (int t = 0; t < Count; ++t) {
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) acc[t][u] = zero<T>();
  }
  int64_t channel = 0;
  for (; channel + V <= channels; channel += V) {
    Vec<T> values[Sub];
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) values[u] = load(gradient[u] + channel);
#pragma GCC unroll 8
    for (int t = 0; t < Count; ++t) {
      const Vec<T> feature = load(features + taps[t] + channel);
#pragma GCC unroll 4
      for (int u = 0; u < Sub; ++u) acc[t][u] = fma(feature, values[u], acc[t][u]);
    }
  }
  if (channel < channels) {
    const int rest = static_cast<int>(channels - channel);
    Vec<T> values[Sub];
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) values[u] = load_partial(gradient[u] + channel, rest);
#pragma GCC unroll 9
    for (int t = 0; t < Count; ++t) {
      const Vec<T> feature = load_partial(features + taps[t] + channel, rest);
#pragma GCC unroll 4
      for (int u = 0; u < Sub; ++u) acc[t][u] = fma(feature, values[u], acc[t][u]);
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < Count; ++t) {
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) sums[t][u * V] = sum(acc[t][u]);
  }
}

template <typename Element, int S>
void grad_masks(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  constexpr int Sub = SubPixels<S>::count;
  constexpr int most = kTaps<Sub>;
  const int k = args.kernel_size;
  T* sums = static_cast<T*>(scratch);
  const int64_t channels = task.channel_end - task.channel_begin;
  int64_t taps[31 * 31];
  T* tap_sums[31 * 31];
  for (int64_t y = task.row_begin; y < task.row_end; ++y) {
    const Taps rows = window_taps(y, args.height, k, args.reflect);
    for (int pass = 0; pass < SubPixels<S>::passes; ++pass) {
      for (int64_t x = 0; x < args.width; ++x) {
        const int64_t lane = x % V;
        if (lane == 0) __builtin_memset(sums, 0, static_cast<size_t>(k) * k * Sub * V * sizeof(T));
        const Taps columns = window_taps(x, args.width, k, args.reflect);
        int count = 0;
        for (int row = 0; row < rows.count; ++row) {
          for (int column = 0; column < columns.count; ++column, ++count) {
            taps[count] = rows.position[row] * args.features.row + columns.position[column] * args.features.column;
            const int64_t tap = static_cast<int64_t>(rows.kernel[row]) * k + columns.kernel[column];
            tap_sums[count] = sums + tap * Sub * V + lane;
          }
        }
        const Element* features = at<Element>(args.features, task.batch, task.channel_begin, 0, 0);
        const Element* gradient[Sub];
#pragma GCC unroll 4
        for (int u = 0; u < Sub; ++u) {
          gradient[u] = at<Element>(args.output, task.batch, task.channel_begin,
                                    S * y + pass * SubPixels<S>::rows + u / S, S * x + u % S);
        }
        int t = 0;
        for (; t + most <= count; t += most) {
          dot_products<Element, Sub, most>(features, taps + t, gradient, channels, tap_sums + t);
        }
        for (; t < count; ++t) dot_products<Element, Sub, 1>(features, taps + t, gradient, channels, tap_sums + t);
        if (lane == V - 1 || x == args.width - 1) {
          store_mask_grads<Element, S>(args, task, y, x - lane, pass, sums);
        }
      }
    }
  }
}

}  // namespace

void carafe_grad_features_nhwc(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  FREQFUSION_CARAFE_SWITCH(args, grad_features, args, task, scratch)
}

void carafe_grad_masks_nhwc(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  FREQFUSION_CARAFE_SWITCH(args, grad_masks, args, task, scratch)
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
