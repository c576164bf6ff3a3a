#include "native/ops/cpu/offset_sampler_kernels.h"

#include "native/ops/cpu/dots.h"
#include "native/ops/cpu/offset_sampler_planes.h"
#include "native/ops/cpu/offset_sampler_positions.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace sampler {

// ---- channels-last: the four source pixels are short dense arrays --------------------------------------------------

// The four source pixels' weights in one output pixel.
template <typename A>
struct PixelWeights {
  Vec<A> upper_left, upper_right, lower_left, lower_right;

  PixelWeights(A fx, A fy)
      : upper_left(broadcast((1 - fx) * (1 - fy))),
        upper_right(broadcast(fx * (1 - fy))),
        lower_left(broadcast((1 - fx) * fy)),
        lower_right(broadcast(fx * fy)) {}

  template <typename Value>
  FREQFUSION_INLINE Vec<A> mix(const Value& value, int64_t row_step, int64_t column_step) const {
    Vec<A> sum = upper_left * value(0);
    sum = fma(upper_right, value(column_step), sum);
    sum = fma(lower_left, value(row_step), sum);
    return fma(lower_right, value(row_step + column_step), sum);
  }
};

template <typename S>
FREQFUSION_INLINE void sample_pixel(const S* source, int64_t row_step, int64_t column_step, Accumulator<S> fx,
                                    Accumulator<S> fy, int64_t channels, S* out, bool stream) {
  using A = Accumulator<S>;
  const PixelWeights<A> weights(fx, fy);
  int64_t c = 0;
  for (; c + Vec<A>::size <= channels; c += Vec<A>::size) {
    const Vec<A> sum = weights.mix([&](int64_t step) { return load(source + c + step); }, row_step, column_step);
    if (stream) {
      store_stream(out + c, sum);
    } else {
      store(out + c, sum);
    }
  }
  if (c < channels) {
    const int rest = static_cast<int>(channels - c);
    const auto value = [&](int64_t step) { return load_partial(source + c + step, rest); };
    store_partial(out + c, weights.mix(value, row_step, column_step), rest);
  }
}

// Groups and pixels whose positions are computed at once on channels-last maps: a pixel's groups are neighbours in
// memory and are sampled one after the other, so that the pixel is read and written in one go.
constexpr int64_t kGroups = 8, kGroupRun = 64;

template <typename S>
void sample_pixels(const OffsetSamplerArgs& args, const Row& row, int64_t groups, int64_t column, int64_t count,
                   const Positions<Accumulator<S>>* at) {
  const int64_t channel = row.group * args.group_channels;
  const S* source = address<S>(args.x, row.image, channel, 0, 0);
  S* out = address<S>(args.out, row.image, channel, row.row, column);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t g = 0; g < groups; ++g) {
      const S* upper_left = source + at[g].y0[i] * args.x.row + at[g].x0[i] * args.x.column + g * args.group_channels;
      sample_pixel(upper_left, args.x.row, args.x.column, at[g].fx[i], at[g].fy[i], args.group_channels,
                   out + i * args.out.column + g * args.group_channels, args.stream);
    }
  }
}

template <typename S>
void slope_pixels(const OffsetSamplerArgs& args, const Row& row, int64_t column, int64_t count,
                  const Positions<Accumulator<S>>& at, Accumulator<S>* slope_x, Accumulator<S>* slope_y) {
  using A = Accumulator<S>;
  const int64_t channel = row.group * args.group_channels;
  const S* source = address<S>(args.x, row.image, channel, 0, 0);
  const S* grad = address<S>(args.grad_output, row.image, channel, row.row, column);
  for (int64_t i = 0; i < count; ++i) {
    const S* upper = source + at.y0[i] * args.x.row + at.x0[i] * args.x.column;
    const S* lower = upper + args.x.row;
    const S* const corners[4] = {upper, upper + args.x.column, lower, lower + args.x.column};
    A dots[4];
    four_dots(grad + i * args.grad_output.column, corners, args.group_channels, dots);
    slope_x[i] = (dots[1] - dots[0]) * (1 - at.fy[i]) + (dots[3] - dots[2]) * at.fy[i];
    slope_y[i] = (dots[2] - dots[0]) * (1 - at.fx[i]) + (dots[3] - dots[1]) * at.fx[i];
  }
}

// ---- forward and the gradient of the offsets: one row of one group after the other ---------------------------------

template <typename S>
void forward_pixels(const OffsetSamplerArgs& args, int64_t begin, int64_t end) {
  Positions<Accumulator<S>> at[kGroups];
  for (int64_t index = begin; index < end;) {
    const Row row(args, index);
    const int64_t groups = smaller(smaller(kGroups, args.groups - row.group), end - index);
    for (int64_t column = 0; column < args.width; column += kGroupRun) {
      const int64_t count = smaller(kGroupRun, args.width - column);
      for (int64_t g = 0; g < groups; ++g) {
        find_positions<S>(args, Row(row.image, row.group + g, row.row), column, count, at[g]);
      }
      sample_pixels<S>(args, row, groups, column, count, at);
    }
    index += groups;
  }
}

template <typename S>
void forward_planes(const OffsetSamplerArgs& args, int64_t begin, int64_t end) {
  Positions<Accumulator<S>> at;
  for (int64_t index = begin; index < end; ++index) {
    const Row row(args, index);
    for (int64_t column = 0; column < args.width; column += kSamplerRun) {
      const int64_t count = smaller(kSamplerRun, args.width - column);
      find_positions<S>(args, row, column, count, at);
      sample_planes<S>(args, row, column, count, at);
    }
  }
}

template <typename S>
void forward_rows(const OffsetSamplerArgs& args, int64_t begin, int64_t end) {
  if (args.dense_channels) {
    forward_pixels<S>(args, begin, end);
  } else {
    forward_planes<S>(args, begin, end);
  }
  if (args.stream) stream_fence();
}

template <typename S>
void store_offset_gradient(const OffsetSamplerArgs& args, const Row& row, int64_t direction, int64_t column,
                           int64_t count, const Accumulator<S>* slope, const Accumulator<S>* values) {
  const int64_t channel = ((direction * args.groups + row.group) * 2 + row.row % 2) * 2;
  S* left = address<S>(args.grad_offset, row.image, channel, row.row / 2, column / 2);
  S* right = left + args.grad_offset.channel;
  for (int64_t i = 0; i < count / 2; ++i) {
    left[i * args.grad_offset.column] = narrow<S>(slope[2 * i] * values[2 * i]);
    right[i * args.grad_offset.column] = narrow<S>(slope[2 * i + 1] * values[2 * i + 1]);
  }
}

template <typename S>
void backward_offset_rows(const OffsetSamplerArgs& args, int64_t begin, int64_t end) {
  using A = Accumulator<S>;
  Positions<A> at;
  alignas(64) A slope_x[kSamplerRun], slope_y[kSamplerRun];
  for (int64_t index = begin; index < end; ++index) {
    const Row row(args, index);
    int32_t first = INT32_MAX, last = 0;
    for (int64_t column = 0; column < args.width; column += kSamplerRun) {
      const int64_t count = smaller(kSamplerRun, args.width - column);
      find_positions<S>(args, row, column, count, at);
      for (int64_t i = 0; i < count; ++i) {
        first = at.y0[i] < first ? at.y0[i] : first;
        last = at.y0[i] > last ? at.y0[i] : last;
      }
      if (args.dense_channels) {
        slope_pixels<S>(args, row, column, count, at, slope_x, slope_y);
      } else {
        slope_planes<S>(args, row, column, count, at, slope_x, slope_y);
      }
      store_offset_gradient<S>(args, row, 0, column, count, at.slope_x, slope_x);
      store_offset_gradient<S>(args, row, 1, column, count, at.slope_y, slope_y);
    }
    int32_t* rows = args.source_rows + ((row.image * args.groups + row.group) * args.height + row.row) * 2;
    rows[0] = first;
    rows[1] = last + 1;
  }
}

// ---- the gradient of x: bands of rows are summed in a working buffer, one block of channels at a time --------------

// A band takes every output pixel that reads one of its rows, in the order of the output: the sums do
// not depend on the threads, need no atomics, and stay in the accumulation type. A block is 64 bytes of channels, so
// that one source pixel is one cache line; a band is at most 512 KB of them, half of a second-level cache.

template <typename A>
constexpr int64_t kBlock = kSamplerBlockBytes / static_cast<int64_t>(sizeof(A));

// The gradients of a run of pixels: [pixel][channel of the block].
template <typename S>
void load_block(const S* from, int64_t channel_step, int64_t column_step, int64_t channels, int64_t pixels,
                Accumulator<S>* to) {
  constexpr int64_t block = kBlock<Accumulator<S>>;
  if (channel_step == 1 && channels == block) {
    for (int64_t p = 0; p < pixels; ++p) load_run(from + p * column_step, 1, block, to + p * block);
    return;
  }
  for (int64_t c = 0; c < block; ++c) {
    for (int64_t p = 0; p < pixels; ++p) {
      to[p * block + c] = c < channels ? widen(from[c * channel_step + p * column_step]) : Accumulator<S>(0);
    }
  }
}

template <typename S>
void store_block(S* to, int64_t channel_step, int64_t column_step, int64_t channels, int64_t pixels,
                 const Accumulator<S>* from) {
  constexpr int64_t block = kBlock<Accumulator<S>>;
  if (channel_step == 1 && channels == block) {
    for (int64_t p = 0; p < pixels; ++p) store_run(to + p * column_step, 1, block, from + p * block);
    return;
  }
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t p = 0; p < pixels; ++p) to[c * channel_step + p * column_step] = narrow<S>(from[p * block + c]);
  }
}

// Adds one pixel's gradient to two neighbours in one row of the band.
template <typename A>
FREQFUSION_INLINE void add_pair(A* left, A weight_left, A weight_right, const A* gradient) {
  for (int64_t c = 0; c < kBlock<A>; c += Vec<A>::size) {
    const Vec<A> value = load(gradient + c);
    store(left + c, fma(broadcast(weight_left), value, load(left + c)));
    store(left + kBlock<A> + c, fma(broadcast(weight_right), value, load(left + kBlock<A> + c)));
  }
}

template <typename A>
void scatter_run(const Positions<A>& at, int64_t count, const A* gradients, int64_t band_first, int64_t band_rows,
                 int64_t width, A* band) {
  for (int64_t i = 0; i < count; ++i) {
    const A* gradient = gradients + i * kBlock<A>;
    const A fx = at.fx[i], fy = at.fy[i];
    const int64_t upper = at.y0[i] - band_first;
    A* pixel = band + (upper * width + at.x0[i]) * kBlock<A>;
    if (upper >= 0 && upper < band_rows) add_pair(pixel, (1 - fx) * (1 - fy), fx * (1 - fy), gradient);
    if (upper >= -1 && upper + 1 < band_rows) {
      add_pair(pixel + width * kBlock<A>, (1 - fx) * fy, fx * fy, gradient);
    }
  }
}

template <typename S>
void backward_x_bands(const OffsetSamplerArgs& args, Scratch scratch, int64_t begin, int64_t end) {
  using A = Accumulator<S>;
  Positions<A> at;
  alignas(64) A gradients[kSamplerRun * kBlock<A>];
  A* band = scratch.take<A>(args.band_rows * args.width * kBlock<A>);
  for (int64_t index = begin; index < end; ++index) {
    const int64_t band_first = index % args.bands * args.band_rows;
    const int64_t band_rows = smaller(args.band_rows, args.height - band_first);
    const int64_t block = index / args.bands % args.channel_blocks;
    const int64_t plane = index / args.bands / args.channel_blocks;  // image * groups + group
    const int64_t image = plane / args.groups, group = plane % args.groups;
    const int64_t first = group * args.group_channels + block * kBlock<A>;
    const int64_t channels = smaller(kBlock<A>, args.group_channels - block * kBlock<A>);
    fill_zero(band, band_rows * args.width * kBlock<A>);

    for (int64_t y = 0; y < args.height; ++y) {
      const int32_t* rows = args.source_rows + (plane * args.height + y) * 2;
      if (rows[1] < band_first || rows[0] >= band_first + band_rows) continue;
      const Row row(image, group, y);
      for (int64_t column = 0; column < args.width; column += kSamplerRun) {
        const int64_t count = smaller(kSamplerRun, args.width - column);
        find_positions<S>(args, row, column, count, at);
        load_block(address<S>(args.grad_output, image, first, y, column), args.grad_output.channel,
                   args.grad_output.column, channels, count, gradients);
        scatter_run(at, count, gradients, band_first, band_rows, args.width, band);
      }
    }

    for (int64_t m = 0; m < band_rows; ++m) {
      store_block(address<S>(args.grad_x, image, first, band_first + m, 0), args.grad_x.channel, args.grad_x.column,
                  channels, args.width, band + m * args.width * kBlock<A>);
    }
  }
}

}  // namespace sampler

void offset_sampler_forward(const OffsetSamplerArgs& args, int64_t begin, int64_t end) {
  with_storage(args.storage, [&](auto storage) { sampler::forward_rows<decltype(storage)>(args, begin, end); });
}

void offset_sampler_backward_offset(const OffsetSamplerArgs& args, int64_t begin, int64_t end) {
  with_storage(args.storage, [&](auto storage) { sampler::backward_offset_rows<decltype(storage)>(args, begin, end); });
}

void offset_sampler_backward_x(const OffsetSamplerArgs& args, void* scratch, int64_t begin, int64_t end) {
  with_storage(args.storage, [&](auto storage) {
    sampler::backward_x_bands<decltype(storage)>(args, Scratch{static_cast<char*>(scratch)}, begin, end);
  });
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
