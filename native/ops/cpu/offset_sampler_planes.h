#pragma once

// Sampling where the channels are not dense: every channel is a plane of its own. Any layout works; float planes with
// dense columns have a path that loads each pair of neighbours at once.

#include "native/ops/cpu/offset_sampler_positions.h"

namespace freqfusion::cpu::FREQFUSION_ISA::sampler {

// The four source pixels of one output pixel in one plane.
template <typename A>
struct Corners {
  A upper_left, upper_right, lower_left, lower_right;
};

template <typename S>
FREQFUSION_INLINE Corners<Accumulator<S>> read_corners(const S* upper, int64_t row_step, int64_t column_step) {
  const S* lower = upper + row_step;
  return {widen(upper[0]), widen(upper[column_step]), widen(lower[0]), widen(lower[column_step])};
}

// ---- four float pixels at once -----------------------------------------------------------------------------------

typedef float Four __attribute__((vector_size(16)));
typedef float FourUnaligned __attribute__((vector_size(16), aligned(4), may_alias));
typedef double TwoPairs __attribute__((vector_size(16)));
typedef double PairUnaligned __attribute__((aligned(4), may_alias));
typedef int32_t FourIndices __attribute__((vector_size(16)));

FREQFUSION_INLINE Four load_four(const float* p) { return (Four) * reinterpret_cast<const FourUnaligned*>(p); }
FREQFUSION_INLINE void store_four(float* p, Four value, bool stream = false) {
#if defined(__AVX2__)
  // Four of them in a row fill a cache line, which then leaves as a whole.
  if (stream) return _mm_stream_ps(p, (__m128)value);
#endif
  *reinterpret_cast<FourUnaligned*>(p) = (FourUnaligned)value;
}

// a[0] a[1] b[0] b[1]: two 8-byte loads instead of four.
FREQFUSION_INLINE Four load_pairs(const float* a, const float* b) {
  const TwoPairs pairs = {*reinterpret_cast<const PairUnaligned*>(a), *reinterpret_cast<const PairUnaligned*>(b)};
  return (Four)pairs;
}
FREQFUSION_INLINE Four even_lanes(Four a, Four b) { return __builtin_shuffle(a, b, FourIndices{0, 2, 4, 6}); }
FREQFUSION_INLINE Four odd_lanes(Four a, Four b) { return __builtin_shuffle(a, b, FourIndices{1, 3, 5, 7}); }

// Exact at both ends: a fraction of 0 gives a, of 1 gives b.
FREQFUSION_INLINE Four mix(Four a, Four b, Four fraction) { return a * (1 - fraction) + b * fraction; }

// Positions of four neighbouring output pixels in a plane.
struct Quad {
  int64_t from[4];
  Four fx, fy, fy_low, fy_high;  // fy once per pixel, and twice per pixel for the pairs

  Quad(const Positions<float>& at, int64_t i, int64_t row_step) {
    for (int p = 0; p < 4; ++p) from[p] = at.y0[i + p] * row_step + at.x0[i + p];
    fx = load_four(at.fx + i);
    fy = load_four(at.fy + i);
    fy_low = __builtin_shuffle(fy, FourIndices{0, 0, 1, 1});
    fy_high = __builtin_shuffle(fy, FourIndices{2, 2, 3, 3});
  }

  FREQFUSION_INLINE Four sample(const float* plane, int64_t row_step) const {
    const float* lower = plane + row_step;
    const Four low =
        mix(load_pairs(plane + from[0], plane + from[1]), load_pairs(lower + from[0], lower + from[1]), fy_low);
    const Four high =
        mix(load_pairs(plane + from[2], plane + from[3]), load_pairs(lower + from[2], lower + from[3]), fy_high);
    return mix(even_lanes(low, high), odd_lanes(low, high), fx);
  }

  // d sample / d position in x and in y.
  FREQFUSION_INLINE void slopes(const float* plane, int64_t row_step, Four& in_x, Four& in_y) const {
    const float* lower = plane + row_step;
    const Four upper_low = load_pairs(plane + from[0], plane + from[1]);
    const Four upper_high = load_pairs(plane + from[2], plane + from[3]);
    const Four lower_low = load_pairs(lower + from[0], lower + from[1]);
    const Four lower_high = load_pairs(lower + from[2], lower + from[3]);
    const Four low = mix(upper_low, lower_low, fy_low), high = mix(upper_high, lower_high, fy_high);
    in_x = odd_lanes(low, high) - even_lanes(low, high);
    const Four drop_low = lower_low - upper_low, drop_high = lower_high - upper_high;
    in_y = mix(even_lanes(drop_low, drop_high), odd_lanes(drop_low, drop_high), fx);
  }
};

// Blocks of four channels share the positions of a quad; a run stays in the first-level cache from block to block.
// Both return the number of pixels done: the last ones, fewer than four, are left.
FREQFUSION_INLINE int64_t sample_quads(const float* source, const Map& x, int64_t channels, int64_t count,
                                       const Positions<float>& at, float* out, int64_t out_channel, bool stream) {
  const int64_t whole = count / 4 * 4;
  for (int64_t first = 0; first < channels; first += 4) {
    const int64_t block = smaller(4, channels - first);
    for (int64_t i = 0; i < whole; i += 4) {
      const Quad quad(at, i, x.row);
      for (int64_t c = first; c < first + block; ++c) {
        store_four(out + c * out_channel + i, quad.sample(source + c * x.channel, x.row), stream);
      }
    }
  }
  return whole;
}

FREQFUSION_INLINE int64_t slope_quads(const float* source, const Map& x, const float* grad, int64_t grad_channel,
                                      int64_t channels, int64_t count, const Positions<float>& at, float* slope_x,
                                      float* slope_y) {
  const int64_t whole = count / 4 * 4;
  for (int64_t first = 0; first < channels; first += 4) {
    const int64_t block = smaller(4, channels - first);
    for (int64_t i = 0; i < whole; i += 4) {
      const Quad quad(at, i, x.row);
      Four sum_x = load_four(slope_x + i), sum_y = load_four(slope_y + i);
      for (int64_t c = first; c < first + block; ++c) {
        Four in_x, in_y;
        quad.slopes(source + c * x.channel, x.row, in_x, in_y);
        const Four gradient = load_four(grad + c * grad_channel + i);
        sum_x += gradient * in_x;
        sum_y += gradient * in_y;
      }
      store_four(slope_x + i, sum_x);
      store_four(slope_y + i, sum_y);
    }
  }
  return whole;
}

// ---- a run of one row and group ------------------------------------------------------------------------------------

template <typename S>
void sample_planes(const OffsetSamplerArgs& args, const Row& row, int64_t column, int64_t count,
                   const Positions<Accumulator<S>>& at) {
  using A = Accumulator<S>;
  const Map& x = args.x;
  const int64_t channel = row.group * args.group_channels;
  const S* source = address<S>(x, row.image, channel, 0, 0);
  S* out = address<S>(args.out, row.image, channel, row.row, column);
  int64_t done = 0;
  if constexpr (__is_same(S, float)) {
    if (x.column == 1 && args.out.column == 1) {
      done = sample_quads(source, x, args.group_channels, count, at, out, args.out.channel, args.stream);
    }
  }
  for (int64_t c = 0; c < args.group_channels && done < count; ++c) {
    for (int64_t i = done; i < count; ++i) {
      const auto corner =
          read_corners(source + c * x.channel + at.y0[i] * x.row + at.x0[i] * x.column, x.row, x.column);
      const A fx = at.fx[i], fy = at.fy[i];
      const A left = corner.upper_left * (1 - fy) + corner.lower_left * fy;
      const A right = corner.upper_right * (1 - fy) + corner.lower_right * fy;
      out[c * args.out.channel + i * args.out.column] = narrow<S>(left * (1 - fx) + right * fx);
    }
  }
}

// Sums of gradient * d sample / d position over the channels of the group.
template <typename S>
void slope_planes(const OffsetSamplerArgs& args, const Row& row, int64_t column, int64_t count,
                  const Positions<Accumulator<S>>& at, Accumulator<S>* slope_x, Accumulator<S>* slope_y) {
  using A = Accumulator<S>;
  const Map &x = args.x, &grad_output = args.grad_output;
  const int64_t channel = row.group * args.group_channels;
  const S* source = address<S>(x, row.image, channel, 0, 0);
  const S* grad = address<S>(grad_output, row.image, channel, row.row, column);
  fill_zero(slope_x, count);
  fill_zero(slope_y, count);
  int64_t done = 0;
  if constexpr (__is_same(S, float)) {
    if (x.column == 1 && grad_output.column == 1) {
      done = slope_quads(source, x, grad, grad_output.channel, args.group_channels, count, at, slope_x, slope_y);
    }
  }
  for (int64_t c = 0; c < args.group_channels && done < count; ++c) {
    for (int64_t i = done; i < count; ++i) {
      const auto corner =
          read_corners(source + c * x.channel + at.y0[i] * x.row + at.x0[i] * x.column, x.row, x.column);
      const A gradient = widen(grad[c * grad_output.channel + i * grad_output.column]);
      const A fx = at.fx[i], fy = at.fy[i];
      slope_x[i] += gradient * ((corner.upper_right - corner.upper_left) * (1 - fy) +
                                (corner.lower_right - corner.lower_left) * fy);
      slope_y[i] += gradient * ((corner.lower_left - corner.upper_left) * (1 - fx) +
                                (corner.lower_right - corner.upper_right) * fx);
    }
  }
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA::sampler
