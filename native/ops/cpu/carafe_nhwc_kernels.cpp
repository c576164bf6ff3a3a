// CARAFE forward on channels-last maps.
//
// Channels fill the vectors and weights are broadcast: for each source pixel, 4 channel vectors * 4 sub-pixels
// accumulate in 16 registers, so that a tap costs 4 feature loads and 4 broadcasts for 16 multiply-adds. Taps outside
// the map are left out of the pixel's list, so no border is ever copied. Channels-last masks are read where they
// lie (16-bit ones widened first, a pixel at a time); others are staged a block of columns at a time (6.4 kB for kernel
// 5, scale 2), because the planes of one pixel's taps would evict each other from the caches.

#include "native/ops/cpu/carafe_blocks.h"
#include "native/ops/cpu/carafe_kernels.h"
#include "native/ops/cpu/staging.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

// Channel vectors that accumulate together.
template <int Sub>
constexpr int kChannelVectors = kVectorBytes == 64 ? (Sub == 1 ? 8 : 4)
                                                   : (Sub == 1   ? 8
                                                      : Sub == 3 ? 4
                                                                 : 2);

// One pixel's taps inside the map, as distances in elements from its own feature vector and from its first weight.
struct PixelTaps {
  int count;
  int64_t feature[31 * 31];
  int64_t weight[31 * 31];
};

template <typename W>
struct Weights {
  const W* first;
  int64_t sub[4];  // distances of the sub-pixels' weights
};

template <typename Element, int Sub>
struct Pixel {
  using T = Accumulator<Element>;
  static constexpr int V = Vec<T>::size;

  const CarafeArgs& args;
  const Element* features;  // channel 0 of the source pixel
  Element* output[Sub];     // channel 0 of each of its sub-pixels
  const PixelTaps& taps;
  const Weights<T>& weights;

  // Vectors whole vectors of channels, or with Partial the first `lanes` lanes of a single one.
  template <int Vectors, bool Partial>
  __attribute__((noinline)) void run(int64_t channel, int lanes) const {
    Vec<T> acc[Sub][Vectors];
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) {
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) acc[u][v] = zero<T>();
    }
    for (int tap = 0; tap < taps.count; ++tap) {
      const Element* feature = features + taps.feature[tap] + channel;
      const T* weight = weights.first + taps.weight[tap];
      Vec<T> values[Vectors];
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) {
        values[v] = Partial ? load_partial(feature, lanes) : load(feature + v * V);
      }
#pragma GCC unroll 4
      for (int u = 0; u < Sub; ++u) {
        const Vec<T> factor = broadcast(weight[weights.sub[u]]);
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) acc[u][v] = fma(values[v], factor, acc[u][v]);
      }
    }
#pragma GCC unroll 4
    for (int u = 0; u < Sub; ++u) {
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) {
        Element* target = output[u] + channel + v * V;
        if (Sub == 1 && args.own != 0) {
          const Element* own = features + channel + v * V;
          const Vec<T> value = Partial ? load_partial(own, lanes) : load(own);
          acc[u][v] = value * broadcast<T>(T(args.own)) - acc[u][v];
        }
        if (Partial) {
          store_partial(target, acc[u][v], lanes);
        } else if (args.stream) {
          store_stream(target, acc[u][v]);
        } else {
          store(target, acc[u][v]);
        }
      }
    }
  }

  template <int Vectors>
  FREQFUSION_INLINE int64_t run_whole(int64_t channel, int64_t end) const {
    for (; channel + Vectors * V <= end; channel += Vectors * V) run<Vectors, false>(channel, V);
    return channel;
  }

  void run_all(int64_t channel, int64_t end) const {
    if constexpr (kChannelVectors<Sub> > 4) channel = run_whole<8>(channel, end);
    if constexpr (kChannelVectors<Sub> > 2) channel = run_whole<4>(channel, end);
    channel = run_whole<2>(channel, end);
    channel = run_whole<1>(channel, end);
    if (channel < end) run<1, true>(channel, static_cast<int>(end - channel));
  }
};

inline void list_taps(const CarafeArgs& args, const Taps& rows, const Taps& columns, int64_t y, int64_t x,
                      int64_t row_weights, int64_t tap_weights, PixelTaps& taps) {
  taps.count = 0;
  for (int row = 0; row < rows.count; ++row) {
    for (int column = 0; column < columns.count; ++column) {
      taps.feature[taps.count] =
          (rows.position[row] - y) * args.features.row + (columns.position[column] - x) * args.features.column;
      taps.weight[taps.count++] = row * row_weights + columns.kernel[column] * tap_weights;
    }
  }
}

template <typename Element, int S>
void forward(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  using T = Accumulator<Element>;
  constexpr int V = Vec<T>::size;
  constexpr int Sub = SubPixels<S>::count;
  const int k = args.kernel_size;
  const bool dense = args.masks.channel == 1;
  const bool direct = sizeof(Element) == sizeof(T) && dense;
  const int64_t pitch = round_up(k * k, V);  // of a pixel's widened masks
  T* staged = static_cast<T*>(scratch);
  PixelTaps taps;
  for (int64_t y = task.row_begin; y < task.row_end; ++y) {
    const Taps rows = window_taps(y, args.height, k, args.reflect);
    for (int pass = 0; pass < SubPixels<S>::passes; ++pass) {
      bool interior_list = false;
      for (int64_t x = 0; x < args.width; ++x) {
        const int64_t lane = x % V;
        if (!dense && lane == 0) stage_weights<Element, S>(args, task, y, x, pass, rows, staged);
        // Neighbouring interior pixels share one list.
        const bool interior = x >= k / 2 && x + k / 2 < args.width;
        if (!interior || !interior_list) {
          list_taps(args, rows, window_taps(x, args.width, k, args.reflect), y, x, dense ? k : int64_t{k} * Sub * V,
                    dense ? 1 : int64_t{Sub} * V, taps);
          interior_list = interior;
        }
        // Rows of the kernel above the map are not in the list: the first weight is that of the first row inside.
        const int64_t first_tap = rows.kernel[0] * k;
        Weights<T> weights{dense ? staged + first_tap : staged + lane, {}};
        Pixel<Element, Sub> pixel{args, at<Element>(args.features, task.batch, 0, y, x), {}, taps, weights};
#pragma GCC unroll 4
        for (int u = 0; u < Sub; ++u) {
          const int64_t output_y = S * y + pass * SubPixels<S>::rows + u / S, output_x = S * x + u % S;
          pixel.output[u] = at<Element>(args.output, task.batch, 0, output_y, output_x);
          const Element* masks = at<Element>(args.masks, task.batch, task.group * k * k, output_y, output_x);
          weights.sub[u] = !dense ? u * V : direct ? (u / S) * args.masks.row + (u % S) * args.masks.column : u * pitch;
          if constexpr (sizeof(Element) != sizeof(T)) {
            if (dense) load_run(masks, 1, k * k, staged + u * pitch);
          } else {
            if (direct && u == 0) weights.first = masks + first_tap;
          }
        }
        pixel.run_all(task.channel_begin, task.channel_end);
      }
    }
  }
  if (args.stream) stream_fence();
}

}  // namespace

void carafe_forward_nhwc(const CarafeArgs& args, const CarafeTask& task, void* scratch) {
  FREQFUSION_CARAFE_SWITCH(args, forward, args, task, scratch)
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
