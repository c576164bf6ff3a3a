// Convolution of stride 1 for few output channels.
//
// Pixels fill the vectors: 3 vectors of neighbouring pixels * 9 output channels accumulate in 27 of the 32 registers
// of AVX-512 (3 * 4 of the 16 of AVX2), so that a tap costs 3 loads and 9 broadcasts for 27 multiply-adds, and 9 or 25
// output channels leave no lane empty. Tiles of 2 vectors end a row whose vectors 3 does not divide. What a tile of 48
// pixels reads is staged: the kernel's rows of all input
// channels, with the zero border, as floats (3 * 64 rows of 64 floats, 48 kB, for a 3x3 kernel on 64 channels). A
// task goes down a column of tiles and keeps the rows in a ring, so each row is staged once for all of its windows.

#include "native/ops/cpu/row_conv_kernels.h"

#include "native/ops/cpu/staging.h"
#include "native/ops/cpu/vec_transpose.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

constexpr int kMostVectors = 3;
constexpr int kMostChannels = kVectorBytes == 64 ? 9 : 4;

// Neighbouring pixels of one row that are computed together.
struct Tile {
  int64_t x;
  int vectors;  // 2 or 3
};

template <typename T>
Tile tile_at(int64_t x, int64_t width) {
  const int64_t left = (width - x + Vec<T>::size - 1) / Vec<T>::size;
  return {x, left == 4 || left <= 2 ? 2 : kMostVectors};
}

template <typename T>
int64_t pixels_of(const Tile& tile) {
  return tile.vectors * Vec<T>::size;
}

int64_t tiles_of(int64_t channels) { return (channels + kMostChannels - 1) / kMostChannels; }

// The staged rows of one column of tiles: slot[row % slots][channel][pitch], column 0 of a row is x - reach.
template <typename T>
struct Ring {
  T* data;
  int64_t channels, pitch, slots;

  T* slot(int64_t row) const { return data + (row % slots) * channels * pitch; }
};

template <typename T>
int64_t ring_pitch(const RowConvArgs& args) {
  const int64_t reach = int64_t{args.kernel_size / 2} * args.dilation;
  // An odd number of lines, for the reason given in row_layout.h.
  const int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  return ((kMostVectors * Vec<T>::size + 2 * reach + line - 1) / line | 1) * line;
}

template <typename T>
Ring<T> ring_of(const RowConvArgs& args, void* scratch) {
  const int64_t slots = int64_t{args.kernel_size - 1} * args.dilation + 1;
  return {static_cast<T*>(scratch), args.in_channels, ring_pitch<T>(args), slots};
}

// Columns [first, last) of one row of all channels, which neighbour each other in memory, to `to` and following.
template <typename S>
void stage_channel_vectors(const S* from, int64_t column_step, int64_t columns, int64_t channels, Accumulator<S>* to,
                           int64_t pitch) {
  using T = Accumulator<S>;
  constexpr int V = Vec<T>::size;
  for (int64_t c = 0; c < channels; c += V) {
    const int here = static_cast<int>(channels - c < V ? channels - c : V);
    for (int64_t p = 0; p < columns; p += V) {
      const int pixels = static_cast<int>(columns - p < V ? columns - p : V);
      Vec<T> block[V];
      for (int i = 0; i < V; ++i) {
        const S* vector = from + (p + i) * column_step + c;
        block[i] = i >= pixels ? zero<T>() : here == V ? load(vector) : load_partial(vector, here);
      }
      transpose(block);
      for (int i = 0; i < here; ++i) store_partial(to + (c + i) * pitch + p, block[i], pixels);
    }
  }
}

// Columns [first, last) of all channels' rows, outside the map.
template <typename T>
void stage_border(T* to, const Ring<T>& ring, int64_t first, int64_t last) {
  constexpr int V = Vec<T>::size;
  if (first >= last) return;
  for (int64_t c = 0; c < ring.channels; ++c, to += ring.pitch) {
    for (int64_t i = first; i < last; i += V) {
      store_partial(to + i, zero<T>(), static_cast<int>(last - i < V ? last - i : V));
    }
  }
}

// One row of what the tile reads, with zeros where the map has no pixel.
template <typename S>
void stage_row(const RowConvArgs& args, int64_t image, int64_t row, const Tile& tile,
               const Ring<Accumulator<S>>& ring) {
  using T = Accumulator<S>;
  constexpr int V = Vec<T>::size;
  const int64_t reach = int64_t{args.kernel_size / 2} * args.dilation;
  const int64_t left = tile.x - reach, count = pixels_of<T>(tile) + 2 * reach;
  const int64_t first = left < 0 ? -left : 0;
  const int64_t last = args.width - left < count ? args.width - left : count;
  T* to = ring.slot(row);
  stage_border(to, ring, 0, first);
  stage_border(to, ring, last, count);
  const Map& map = args.x;
  const S* from = static_cast<const S*>(map.data) + image * map.image + row * map.row + (left + first) * map.column;
  if (map.channel == 1 && map.column != 1) {
    return stage_channel_vectors(from, map.column, last - first, ring.channels, to + first, ring.pitch);
  }
  for (int64_t c = 0; c < ring.channels; ++c, from += map.channel, to += ring.pitch) {
    int64_t i = first;
    if (map.column == 1) {
      for (; i + V <= last; i += V) store(to + i, load(from + (i - first)));
      const int rest = static_cast<int>(last - i);
      if (rest > 0) store_partial(to + i, load_partial(from + (i - first), rest), rest);
    } else {
      for (; i < last; ++i) to[i] = widen(from[(i - first) * map.column]);
    }
  }
}

template <typename T>
struct Window {
  const T* row[31];  // of the kernel
  int above, below;  // rows [above, below) of the kernel lie inside the map
  int64_t pitch;
  int in_channels, kernel_size, dilation;
};

template <typename T, int Vectors, int Channels>
using Sums = Vec<T>[Channels][Vectors];

// A row of the kernel on one input channel. K is the kernel's size where it is a constant, or 0.
template <typename T, int Vectors, int Channels, int K>
FREQFUSION_INLINE const T* add_row(const T* row, const Window<T>& window, const T* weights,
                                   Sums<T, Vectors, Channels>& acc) {
  constexpr int V = Vec<T>::size;
  const int k = K > 0 ? K : window.kernel_size;
#pragma GCC unroll 3
  for (int kx = 0; kx < k; ++kx, row += window.dilation, weights += Channels) {
    Vec<T> value[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) value[v] = load(row + v * V);
#pragma GCC unroll 16
    for (int o = 0; o < Channels; ++o) {
      const Vec<T> weight = broadcast(weights[o]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[o][v] = fma(value[v], weight, acc[o][v]);
    }
  }
  return weights;
}

// Where the sums of one tile go.
template <typename T>
struct Target {
  T* first;
  int64_t channel;  // elements from one channel to the next
  int64_t pixels;   // of the map from the tile's first on: those beyond are not stored
  bool stream;
};

template <typename T, int Vectors, int Channels, int K>
__attribute__((noinline)) void accumulate(const Window<T>& window, const T* weights, const T* bias,
                                          const Target<T>& target) {
  constexpr int V = Vec<T>::size;
  Sums<T, Vectors, Channels> acc;
#pragma GCC unroll 16
  for (int o = 0; o < Channels; ++o) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) acc[o][v] = broadcast(bias[o]);
  }
  const int k = K > 0 ? K : window.kernel_size;
  int64_t offset = 0;
  if constexpr (K == 1) {
    for (int c = 0; c < window.in_channels; ++c, offset += window.pitch) {
      weights = add_row<T, Vectors, Channels, 1>(window.row[0] + offset, window, weights, acc);
    }
  } else {
    for (int c = 0; c < window.in_channels; ++c, offset += window.pitch) {
      weights += window.above * k * Channels;
      for (int ky = window.above; ky < window.below; ++ky) {
        weights = add_row<T, Vectors, Channels, K>(window.row[ky] + offset, window, weights, acc);
      }
      weights += (k - window.below) * k * Channels;
    }
  }
  T* output = target.first;
#pragma GCC unroll 16
  for (int o = 0; o < Channels; ++o, output += target.channel) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const int64_t lanes = target.pixels - v * V;
      if (lanes >= V && target.stream) {
        store_stream(output + v * V, acc[o][v]);
      } else if (lanes >= V) {
        store(output + v * V, acc[o][v]);
      } else if (lanes > 0) {
        store_partial(output + v * V, acc[o][v], static_cast<int>(lanes));
      }
    }
  }
}

template <typename T>
using Accumulate = void (*)(const Window<T>&, const T*, const T*, const Target<T>&);

template <typename T, int Vectors, int Channels>
Accumulate<T> accumulate_with(int kernel_size) {
  // Double precision is there to be exact: one kernel for all sizes does.
  if constexpr (sizeof(T) == 4) {
    if (kernel_size == 1) return accumulate<T, Vectors, Channels, 1>;
    if (kernel_size == 3) return accumulate<T, Vectors, Channels, 3>;
  }
  return accumulate<T, Vectors, Channels, 0>;
}

template <typename T, int Vectors, int Channels = kMostChannels>
Accumulate<T> accumulate_for(int64_t channels, int kernel_size) {
  if constexpr (Channels > 1) {
    if (channels < Channels) return accumulate_for<T, Vectors, Channels - 1>(channels, kernel_size);
  }
  return accumulate_with<T, Vectors, Channels>(kernel_size);
}

template <int Write, typename S>
FREQFUSION_INLINE void prefetch_run(const S* first, int64_t count) {
  const char* byte = reinterpret_cast<const char*>(first);
  for (const char* end = byte + count * static_cast<int64_t>(sizeof(S)); byte < end; byte += 64) {
    __builtin_prefetch(byte, Write);
  }
}

// The row to be staged next, fetched a part at a time while the tile before it is computed: its channels lie too far
// apart for the hardware to foresee.
template <typename S>
struct Ahead {
  const S* first;  // null where there is none
  int64_t channel, channels, columns;

  void fetch(int64_t part, int64_t parts) const {
    if (first == nullptr) return;
    const int64_t end = (part + 1) * channels / parts;
    for (int64_t c = part * channels / parts; c < end; ++c) prefetch_run<0>(first + c * channel, columns);
  }
};

template <typename S>
Ahead<S> row_ahead(const RowConvArgs& args, int64_t image, int64_t row, const Tile& tile) {
  if (row >= args.height || args.x.column != 1) return {nullptr, 0, 0, 0};
  const int64_t pixels = pixels_of<Accumulator<S>>(tile), left = args.width - tile.x;
  return {static_cast<const S*>(args.x.data) + image * args.x.image + row * args.x.row + tile.x, args.x.channel,
          args.in_channels, left < pixels ? left : pixels};
}

// next: elements from this tile of the output to the one that is computed after it.
template <typename S, typename T>
void compute_tile(const RowConvArgs& args, const Ring<T>& ring, int64_t image, int64_t y, const Tile& tile,
                  const Ahead<S>& ahead, int64_t next) {
  const int k = args.kernel_size;
  Window<T> window{{}, k, 0, ring.pitch, static_cast<int>(args.in_channels), k, args.dilation};
  for (int ky = 0; ky < k; ++ky) {
    const int64_t row = y + int64_t{ky - k / 2} * args.dilation;
    if (row < 0 || row >= args.height) continue;
    window.row[ky] = ring.slot(row);
    if (ky < window.above) window.above = ky;
    window.below = ky + 1;
  }
  Target<T> target{static_cast<T*>(args.output.data) + image * args.output.image + y * args.output.row + tile.x,
                   args.output.channel, args.width - tile.x, args.stream};
  const T* weights = static_cast<const T*>(args.weights);
  const T* bias = static_cast<const T*>(args.bias);
  const int64_t tiles = tiles_of(args.out_channels);
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t first = t * args.out_channels / tiles, channels = (t + 1) * args.out_channels / tiles - first;
    ahead.fetch(t, tiles);
    for (int64_t c = 0; !args.stream && c < channels; ++c) {
      prefetch_run<1>(target.first + c * args.output.channel + next, pixels_of<T>(tile));
    }
    const Accumulate<T> accumulate =
        tile.vectors == 2 ? accumulate_for<T, 2>(channels, k) : accumulate_for<T, kMostVectors>(channels, k);
    accumulate(window, weights, bias + first, target);
    target.first += channels * args.output.channel;
    weights += channels * args.in_channels * k * k;
  }
}

// A pointwise kernel needs no ring: along the rows, memory is read and written in the order in which it lies.
template <typename S>
void forward_pointwise(const RowConvArgs& args, int64_t image, int64_t row_begin, int64_t row_end,
                       const Ring<Accumulator<S>>& ring) {
  using T = Accumulator<S>;
  for (int64_t y = row_begin; y < row_end; ++y) {
    Tile tile = tile_at<T>(0, args.width);
    while (tile.x < args.width) {
      stage_row<S>(args, image, y, tile, ring);
      const int64_t x = tile.x + pixels_of<T>(tile);
      const bool last = x >= args.width;
      const Tile next = tile_at<T>(last ? 0 : x, args.width);
      compute_tile(args, ring, image, y, tile, row_ahead<S>(args, image, last ? y + 1 : y, next),
                   last ? args.output.row - tile.x : pixels_of<T>(tile));
      tile = last ? Tile{args.width, 0} : next;
    }
  }
}

template <typename S>
void forward_rows(const RowConvArgs& args, int64_t image, int64_t row_begin, int64_t row_end,
                  const Ring<Accumulator<S>>& ring) {
  using T = Accumulator<S>;
  const int64_t reach = int64_t{args.kernel_size / 2} * args.dilation;
  for (int64_t x = 0; x < args.width;) {
    const Tile tile = tile_at<T>(x, args.width);
    int64_t staged = row_begin > reach ? row_begin - reach : 0;
    for (int64_t y = row_begin; y < row_end; ++y) {
      const int64_t wanted = y + reach + 1 < args.height ? y + reach + 1 : args.height;
      for (; staged < wanted; ++staged) stage_row<S>(args, image, staged, tile, ring);
      compute_tile(args, ring, image, y, tile, row_ahead<S>(args, image, staged, tile), args.output.row);
    }
    x += pixels_of<T>(tile);
  }
}

}  // namespace

int64_t row_conv_tiles(int64_t out_channels) { return tiles_of(out_channels); }

int64_t row_conv_scratch_bytes(const RowConvArgs& args) {
  int64_t bytes = 0;
  with_storage(args.storage, [&](auto storage) {
    using T = Accumulator<decltype(storage)>;
    const Ring<T> ring = ring_of<T>(args, nullptr);
    // A vector's room at the end: the last tile's loads reach past what it stages.
    bytes = (ring.slots * ring.channels * ring.pitch) * static_cast<int64_t>(sizeof(T)) + kVectorBytes;
  });
  return bytes;
}

void row_conv_forward(const RowConvArgs& args, int64_t image, int64_t row_begin, int64_t row_end, void* scratch) {
  with_storage(args.storage, [&](auto storage) {
    using S = decltype(storage);
    const auto ring = ring_of<Accumulator<S>>(args, scratch);
    if (args.kernel_size == 1) {
      forward_pointwise<S>(args, image, row_begin, row_end, ring);
    } else {
      forward_rows<S>(args, image, row_begin, row_end, ring);
    }
  });
  if (args.stream) stream_fence();
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
