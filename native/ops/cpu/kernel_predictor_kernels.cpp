// FreqFusion's kernels from the logits of both resolutions, in one pass over memory.
//
// A block is one vector of neighbouring source columns of one source row: 16 of them and 64 output pixels with
// AVX-512. Its logits are read once, split into one vector for each sub-pixel, normalised, used as the kernels that
// grow the low-resolution logits, added to and normalised again, all in the first two cache levels (6.4 kB for each of
// the 25 * 4 vectors of kernel 5, 16 kB for the 25 windows of 5 rows). Only the masks leave.

#include "native/ops/cpu/kernel_predictor_kernels.h"

#include "native/ops/cpu/carafe_blocks.h"
#include "native/ops/cpu/kernel_normalizer_taps.h"
#include "native/ops/cpu/staging.h"
#include "native/ops/cpu/vec_transpose.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

constexpr int kSub = 4;  // sub-pixels of a source pixel: 2 rows of 2
// Channels that accumulate together, each in a vector a sub-pixel.
constexpr int kTogether = kVectorBytes == 64 ? 5 : 2;

// Buffers of one thread. The vectors of a tap's or a channel's sub-pixels follow each other: [tap][sub-pixel][lane].
template <typename T>
struct Buffers {
  T *weights, *low, *high;
  T *low_window, *high_window;  // [channel][kernel row][pitch], column 0 is x - radius
  int64_t pitch;
};

template <typename T>
int64_t window_pitch(int kernel_size) {
  return round_up(Vec<T>::size + kernel_size - 1, Vec<T>::size);
}

template <typename T>
Buffers<T> buffers_of(const KernelPredictorArgs& args, void* memory, int64_t* bytes) {
  const int64_t low_taps = int64_t{args.lowpass_kernel} * args.lowpass_kernel;
  const int64_t high_taps = int64_t{args.highpass_kernel} * args.highpass_kernel;
  const int64_t block = kSub * Vec<T>::size, pitch = window_pitch<T>(args.lowpass_kernel);
  Scratch scratch{static_cast<char*>(memory)};
  Buffers<T> buffers{};
  buffers.pitch = pitch;
  buffers.weights = scratch.take<T>(low_taps * block);
  buffers.low = scratch.take<T>(low_taps * block);
  buffers.high = scratch.take<T>(high_taps * block);
  buffers.low_window = scratch.take<T>(low_taps * args.lowpass_kernel * pitch);
  buffers.high_window = scratch.take<T>(high_taps * args.lowpass_kernel * pitch);
  if (bytes != nullptr) *bytes = scratch.next - static_cast<char*>(memory);
  return buffers;
}

// Where a block lies.
struct Block {
  int64_t image, group, y, x;
  int lanes;
};

template <typename S>
FREQFUSION_INLINE S* output_row(const Map& map, const Block& block, int64_t channel, int row) {
  return at<S>(map, block.image, channel, 2 * block.y + row, 0);
}

// Logits of `taps` channels at the block's output pixels.
template <typename T>
void load_logits(const KernelPredictorArgs& args, const Map& map, const Block& block, int64_t taps, T* to) {
  constexpr int V = Vec<T>::size;
  for (int64_t t = 0; t < taps; ++t) {
    for (int i = 0; i < 2; ++i, to += 2 * V) {
      Vec<T> columns[2];
      load_columns<2>(output_row<const T>(map, block, block.group * taps + t, i), map.column, block.x, args.width,
                      columns);
      store_aligned(to, columns[0]);
      store_aligned(to + V, columns[1]);
    }
  }
}

// The rows of neighbouring channels are too far apart for the hardware to foresee: what the next block reads and writes
// at its output pixels is fetched while this one is computed.
template <int Write, typename S>
void prefetch_outputs(const Map& map, const Block& block, int64_t taps) {
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(S));
  if (map.column != 1) return;
  for (int64_t t = 0; t < taps; ++t) {
    for (int i = 0; i < 2; ++i) {
      const S* row = output_row<const S>(map, block, block.group * taps + t, i) + 2 * block.x;
      for (int64_t p = 0; p < 2 * block.lanes; p += line) __builtin_prefetch(row + p, Write);
    }
  }
}

// The row of the low-resolution logits that the blocks of the next row are the first to read.
template <typename T>
void prefetch_below(const KernelPredictorArgs& args, const Map& map, const Block& block, int64_t taps) {
  const int64_t row = block.y + args.lowpass_kernel / 2 + 1;
  if (row >= args.height || map.column != 1) return;
  for (int64_t t = 0; t < taps; ++t) {
    __builtin_prefetch(at<const T>(map, block.image, block.group * taps + t, row, block.x));
  }
}

template <typename T>
void prefetch_next(const KernelPredictorArgs& args, const Block& block, int64_t low_taps, int64_t high_taps) {
  prefetch_below<T>(args, args.low_lr, block, low_taps);
  if (high_taps > 0) prefetch_below<T>(args, args.high_lr, block, high_taps);
  Block next = block;
  next.x += block.lanes;
  if (next.x + next.lanes > args.width) return;
  prefetch_outputs<0, T>(args.low_hr, next, low_taps);
  if (high_taps > 0) prefetch_outputs<0, T>(args.high_hr, next, high_taps);
  if (args.stream) return;
  with_storage(args.mask_storage, [&](auto kind) {
    prefetch_outputs<1, decltype(kind)>(args.mask_lr, next, low_taps);
    if (high_taps > 0) prefetch_outputs<1, decltype(kind)>(args.mask_hr, next, high_taps);
  });
}

template <typename S>
void store_planes_of(const Map& map, const Block& block, int64_t taps, bool stream, const Accumulator<S>* from) {
  constexpr int V = Vec<Accumulator<S>>::size;
  for (int64_t t = 0; t < taps; ++t) {
    for (int i = 0; i < 2; ++i, from += 2 * V) {
      const Vec<Accumulator<S>> columns[2] = {load_aligned(from), load_aligned(from + V)};
      store_columns<2>(output_row<S>(map, block, block.group * taps + t, i), map.column, block.x, block.lanes, columns,
                       stream);
    }
  }
}

// Channels-last: the taps of one pixel follow each other.
template <typename S>
void store_pixels_of(const Map& map, const Block& block, int64_t taps, const Accumulator<S>* from) {
  using T = Accumulator<S>;
  constexpr int V = Vec<T>::size;
  for (int64_t first = 0; first < taps; first += V) {
    const int count = static_cast<int>(smaller(taps - first, V));
    for (int i = 0; i < 2; ++i) {
      Vec<T> left[V], right[V];
      for (int t = 0; t < V; ++t) {
        const T* sub = from + ((first + t) * kSub + 2 * i) * V;
        const VecPair<T> pixels =
            t < count ? interleave(load_aligned(sub), load_aligned(sub + V)) : VecPair<T>{zero<T>(), zero<T>()};
        left[t] = pixels.first;
        right[t] = pixels.second;
      }
      transpose(left);
      transpose(right);
      S* pixel = output_row<S>(map, block, block.group * taps + first, i) + 2 * block.x * map.column;
      for (int p = 0; p < 2 * block.lanes; ++p, pixel += map.column) {
        store_partial(pixel, p < V ? left[p] : right[p - V], count);
      }
    }
  }
}

template <typename T>
void store_all(Storage storage, const Map& map, const Block& block, int64_t taps, bool stream, const T* from) {
  with_storage(storage, [&](auto kind) {
    using S = decltype(kind);
    // Of the four storage types, those that are computed in T.
    if constexpr (sizeof(Accumulator<S>) == sizeof(T)) {
      if (map.channel == 1 && map.column != 1) {
        store_pixels_of<S>(map, block, taps, from);
      } else {
        store_planes_of<S>(map, block, taps, stream, from);
      }
    }
  });
}

// The windows of `channels` channels of a low-resolution map, with the border applied.
template <typename T>
void stage_windows(const KernelPredictorArgs& args, const Map& map, const Block& block, int64_t channels, T* window,
                   int64_t pitch) {
  constexpr int V = Vec<T>::size;
  const int k = args.lowpass_kernel, radius = k / 2;
  const int64_t left = block.x - radius, count = V + 2 * radius;
  for (int64_t c = 0; c < channels; ++c) {
    for (int ky = 0; ky < k; ++ky, window += pitch) {
      int64_t row = block.y + ky - radius;
      if (!inside(row, args.height)) {
        if (!args.reflect) {
          fill_zero(window, pitch);
          continue;
        }
        row = reflected(row, args.height);
      }
      const T* source = at<const T>(map, block.image, block.group * channels + c, row, 0);
      if (map.column == 1 && left >= 0 && left + pitch <= args.width) {
        for (int64_t i = 0; i < pitch; i += V) store(window + i, load(source + left + i));
        continue;
      }
      for (int64_t i = 0; i < count; ++i) {
        int64_t column = left + i;
        const bool reached = column < args.width + radius;
        if (!inside(column, args.width)) column = args.reflect && reached ? reflected(column, args.width) : -1;
        window[i] = column < 0 ? T(0) : source[column * map.column];
      }
    }
  }
}

// The windows of a block's channels: in the map itself, or copied from it at the map's edges.
template <typename T>
struct Windows {
  const T* first;  // kernel row 0 of channel 0, column x - radius
  int64_t channel, row;
};

template <typename T>
Windows<T> windows_of(const KernelPredictorArgs& args, const Map& map, const Block& block, int64_t channels, T* window,
                      int64_t pitch) {
  const int k = args.lowpass_kernel, radius = k / 2;
  const bool rows_inside = block.y >= radius && block.y + radius < args.height;
  if (map.column == 1 && rows_inside && is_interior<T>(block.x, args.width, k)) {
    return {at<const T>(map, block.image, block.group * channels, block.y - radius, block.x - radius), map.channel,
            map.row};
  }
  stage_windows(args, map, block, channels, window, pitch);
  return {window, k * pitch, pitch};
}

// sums[channel][sub-pixel] += the taps of the channel's window, weighted.
template <typename T, int Channels>
FREQFUSION_INLINE void reassemble(int k, const Windows<T>& windows, int64_t channel, const T* weights, T* sums) {
  constexpr int V = Vec<T>::size;
  const T* window = windows.first + channel * windows.channel;
  sums += channel * kSub * V;
  Vec<T> acc[Channels][kSub];
#pragma GCC unroll 8
  for (int c = 0; c < Channels; ++c) {
#pragma GCC unroll 4
    for (int u = 0; u < kSub; ++u) acc[c][u] = load_aligned(sums + (c * kSub + u) * V);
  }
  for (int ky = 0; ky < k; ++ky, window += windows.row) {
    for (int kx = 0; kx < k; ++kx, weights += kSub * V) {
#pragma GCC unroll 8
      for (int c = 0; c < Channels; ++c) {
        const Vec<T> value = load(window + c * windows.channel + kx);
#pragma GCC unroll 4
        for (int u = 0; u < kSub; ++u) acc[c][u] = fma(value, load_aligned(weights + u * V), acc[c][u]);
      }
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < Channels; ++c) {
#pragma GCC unroll 4
    for (int u = 0; u < kSub; ++u) store_aligned(sums + (c * kSub + u) * V, acc[c][u]);
  }
}

template <typename T>
__attribute__((noinline)) void reassemble_all(int k, int64_t channels, const Windows<T>& windows, const T* weights,
                                              T* sums) {
  int64_t c = 0;
  for (; c + kTogether <= channels; c += kTogether) reassemble<T, kTogether>(k, windows, c, weights, sums);
  if constexpr (kTogether > 2) {
    for (; c + 2 <= channels; c += 2) reassemble<T, 2>(k, windows, c, weights, sums);
  }
  for (; c < channels; ++c) reassemble<T, 1>(k, windows, c, weights, sums);
}

template <typename T>
void copy(const T* from, int64_t count, T* to) {
  __builtin_memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
}

template <typename T>
void predict_block(const KernelPredictorArgs& args, const Block& block, const Buffers<T>& buffers) {
  constexpr int64_t pitch = kSub * Vec<T>::size;
  const int k = args.lowpass_kernel;
  const int64_t low_taps = int64_t{k} * k, high_taps = int64_t{args.highpass_kernel} * args.highpass_kernel;
  const bool high = args.high_hr.data != nullptr;
  const auto stage = [&](const Map& map, int64_t taps, const T* values) {
    if (map.data != nullptr) store_all(args.storage, map, block, taps, false, values);
  };

  load_logits(args, args.low_hr, block, low_taps, buffers.low);
  if (high) load_logits(args, args.high_hr, block, high_taps, buffers.high);
  prefetch_next<T>(args, block, low_taps, high ? high_taps : 0);
  copy(buffers.low, low_taps * pitch, buffers.weights);
  normalize(buffers.weights, low_taps, pitch, args.low_window);
  stage(args.first_mask, low_taps, buffers.weights);

  reassemble_all(k, low_taps, windows_of(args, args.low_lr, block, low_taps, buffers.low_window, buffers.pitch),
                 buffers.weights, buffers.low);
  stage(args.low, low_taps, buffers.low);
  normalize(buffers.low, low_taps, pitch, args.low_window);
  store_all(args.mask_storage, args.mask_lr, block, low_taps, args.stream, buffers.low);
  if (!high) return;

  reassemble_all(k, high_taps, windows_of(args, args.high_lr, block, high_taps, buffers.high_window, buffers.pitch),
                 buffers.low, buffers.high);
  stage(args.high, high_taps, buffers.high);
  normalize(buffers.high, high_taps, pitch, args.high_window);
  store_all(args.mask_storage, args.mask_hr, block, high_taps, args.stream, buffers.high);
}

template <typename T>
void forward_rows(const KernelPredictorArgs& args, int64_t begin, int64_t end, void* scratch) {
  constexpr int V = Vec<T>::size;
  const Buffers<T> buffers = buffers_of<T>(args, scratch, nullptr);
  for (int64_t index = begin; index < end; ++index) {
    const int64_t plane = index / args.height;
    Block block{plane / args.groups, plane % args.groups, index % args.height, 0, V};
    for (; block.x < args.width; block.x += V) {
      block.lanes = static_cast<int>(smaller(V, args.width - block.x));
      predict_block(args, block, buffers);
    }
  }
  if (args.stream) stream_fence();
}

}  // namespace

int64_t kernel_predictor_scratch_bytes(const KernelPredictorArgs& args) {
  int64_t bytes = 0;
  if (args.storage == Storage::f64) {
    buffers_of<double>(args, nullptr, &bytes);
  } else {
    buffers_of<float>(args, nullptr, &bytes);
  }
  return bytes;
}

void kernel_predictor_forward(const KernelPredictorArgs& args, int64_t begin, int64_t end, void* scratch) {
  if (args.storage == Storage::f64) return forward_rows<double>(args, begin, end, scratch);
  forward_rows<float>(args, begin, end, scratch);
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
