#pragma once

// The similarity of maps whose channels are dense (channels-last): every value is a dot product of two short arrays.

#include "native/ops/cpu/dots.h"
#include "native/ops/cpu/local_similarity_tile.h"

namespace freqfusion::cpu::FREQFUSION_ISA::similarity {

template <typename S>
FREQFUSION_INLINE Accumulator<S> sum_of_squares(const S* a, int64_t channels) {
  using A = Accumulator<S>;
  Vec<A> sums = zero<A>();
  int64_t c = 0;
  for (; c + Vec<A>::size <= channels; c += Vec<A>::size) {
    const Vec<A> value = load(a + c);
    sums = fma(value, value, sums);
  }
  if (c < channels) {
    const Vec<A> value = load_partial(a + c, static_cast<int>(channels - c));
    sums = fma(value, value, sums);
  }
  return sum(sums);
}

// Inverse norms of the tile and its surroundings by [row][column]: `above` rows over it, reach_rows below it.
template <typename S>
void pixel_norms(const LocalSimilarityArgs& args, const Tile& tile, int64_t above, Accumulator<S>* norms) {
  using A = Accumulator<S>;
  const int64_t halo = args.halo, pitch = args.pitch;
  for (int64_t m = -above; m < tile.rows + args.reach_rows; ++m) {
    const int64_t y = tile.row + m * args.dilation;
    if (y < 0 || y >= args.height) continue;
    A* row = norms + (above + m) * pitch;
    const int64_t low = larger(0, tile.column - halo), high = smaller(args.width, tile.column + tile.columns + halo);
    A* first = row + low - tile.column + halo;
    for (int64_t x = low; x < high; ++x) {
      first[x - low] = sum_of_squares(address<S>(args.x, tile.image, 0, y, x), args.channels);
    }
    squares_to_inverse_norms(row, pitch);
  }
}

// Is (y, x) on the map?
FREQFUSION_INLINE bool inside(const LocalSimilarityArgs& args, int64_t y, int64_t x) {
  return y >= 0 && y < args.height && x >= 0 && x < args.width;
}

// The four similarities of one pixel, written at the pixel and mirrored; 0 where an offset leads out of the map.
template <typename S>
void forward_pixel(const LocalSimilarityArgs& args, const Tile& tile, const Offset* offsets, int64_t y, int64_t x,
                   const Accumulator<S>* norm) {
  using A = Accumulator<S>;
  const S* own = address<S>(args.x, tile.image, 0, y, x);
  const S* partners[4];
  for (int o = 0; o < 4; ++o) {
    const int64_t py = y + offsets[o].dy * args.dilation, px = x + offsets[o].dx * args.dilation;
    partners[o] = inside(args, py, px) ? address<S>(args.x, tile.image, 0, py, px) : own;
  }
  A dots[4];
  four_dots(own, partners, args.channels, dots);
  S* out = address<S>(args.out, tile.image, 0, y, x);
  for (int o = 0; o < 4; ++o) {
    const Offset& offset = offsets[o];
    const int64_t shift_y = offset.dy * args.dilation, shift_x = offset.dx * args.dilation;
    A value = 0;
    if (inside(args, y + shift_y, x + shift_x)) {
      value = args.cosine ? dots[o] * norm[0] * norm[offset.dy * args.pitch + shift_x] : dots[o];
      *address<S>(args.out, tile.image, offset.mirror, y + shift_y, x + shift_x) = narrow<S>(value);
    }
    out[offset.channel * args.out.channel] = narrow<S>(value);
    if (!inside(args, y - shift_y, x - shift_x)) out[offset.mirror * args.out.channel] = narrow<S>(0);
  }
}

template <typename S>
void forward_pixels(const LocalSimilarityArgs& args, Scratch scratch, int64_t begin, int64_t end) {
  using A = Accumulator<S>;
  const int64_t pitch = args.pitch, taps = args.kernel_size * args.kernel_size;
  A* norms = scratch.take<A>((kRows + args.reach_rows) * pitch);
  for (int64_t index = begin; index < end; ++index) {
    const Tile tile(args, index);
    if (args.cosine) pixel_norms<S>(args, tile, 0, norms);
    for (int64_t m = 0; m < tile.rows; ++m) {
      for (int64_t first = taps / 2 + 1; first < taps; first += 4) {
        const Offset offsets[4] = {{args, first}, {args, first + 1}, {args, first + 2}, {args, first + 3}};
        for (int64_t i = 0; i < tile.columns; ++i) {
          forward_pixel<S>(args, tile, offsets, tile.row + m * args.dilation, tile.column + i,
                           norms + m * pitch + args.halo + i);
        }
      }
    }
  }
}

// The partners of one pixel with their weights: K, times the partner's inverse norm for the cosine.
template <typename S>
int64_t list_partners(const LocalSimilarityArgs& args, const Tile& tile, int64_t y, int64_t x,
                      const Accumulator<S>* norm, const S** partners, Accumulator<S>* weights) {
  const int64_t k = args.kernel_size;
  int64_t count = 0;
  for (int64_t dy = -args.reach_rows; dy <= args.reach_rows; ++dy) {
    for (int64_t dx = -args.reach_columns; dx <= args.reach_columns; ++dx) {
      const int64_t py = y + dy * args.dilation, px = x + dx * args.dilation;
      if ((dy == 0 && dx == 0) || !inside(args, py, px)) continue;
      const Offset offset(args, (dy + k / 2) * k + dx + k / 2);
      auto weight = widen(*address<S>(args.grad_output, tile.image, offset.channel, y, x)) +
                    widen(*address<S>(args.grad_output, tile.image, offset.mirror, py, px));
      if (args.cosine) weight *= norm[dy * args.pitch + dx * args.dilation];
      partners[count] = address<S>(args.x, tile.image, 0, py, px);
      weights[count++] = weight;
    }
  }
  return count;
}

// gathered[c] = sum of weight * partner[c]; returns its dot product with the pixel itself.
template <typename S>
Accumulator<S> gather_partners(const S* own, const S* const* partners, const Accumulator<S>* weights, int64_t count,
                               int64_t channels, Accumulator<S>* gathered) {
  using A = Accumulator<S>;
  Vec<A> along = zero<A>();
  for (int64_t c = 0; c < channels; c += Vec<A>::size) {
    const int lanes = static_cast<int>(smaller(Vec<A>::size, channels - c));
    const auto value = [&](const S* p) { return lanes == Vec<A>::size ? load(p + c) : load_partial(p + c, lanes); };
    Vec<A> sums = zero<A>();
    for (int64_t t = 0; t < count; ++t) sums = fma(broadcast(weights[t]), value(partners[t]), sums);
    store(gathered + c, sums);
    along = fma(value(own), sums, along);
  }
  return sum(along);
}

template <typename S>
void backward_pixels(const LocalSimilarityArgs& args, Scratch scratch, int64_t begin, int64_t end) {
  using A = Accumulator<S>;
  const int64_t pitch = args.pitch, above = args.reach_rows;
  A* norms = scratch.take<A>((kRows + 2 * above) * pitch);
  A* weights = scratch.take<A>(args.active_taps);
  A* gathered = scratch.take<A>(whole_vectors<A>(args.channels));
  const S** partners = scratch.take<const S*>(args.active_taps);
  for (int64_t index = begin; index < end; ++index) {
    const Tile tile(args, index);
    if (args.cosine) pixel_norms<S>(args, tile, above, norms);
    for (int64_t m = 0; m < tile.rows; ++m) {
      for (int64_t i = 0; i < tile.columns; ++i) {
        const int64_t y = tile.row + m * args.dilation, x = tile.column + i;
        const A* norm = norms + (above + m) * pitch + args.halo + i;
        const S* own = address<S>(args.x, tile.image, 0, y, x);
        const int64_t count = list_partners(args, tile, y, x, norm, partners, weights);
        const A dot = gather_partners(own, partners, weights, count, args.channels, gathered);
        if (args.cosine) {
          const A part = *norm < A(1) / A(1e-8) ? dot * *norm * *norm : A(0);
          for (int64_t c = 0; c < args.channels; ++c) gathered[c] = *norm * (gathered[c] - part * widen(own[c]));
        }
        store_run(address<S>(args.out, tile.image, 0, y, x), 1, args.channels, gathered);
      }
    }
  }
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA::similarity
