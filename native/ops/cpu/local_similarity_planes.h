#pragma once

// The similarity of maps whose columns are dense (or of any layout): channels are swept in blocks of four over a tile
// that stays in the first-level cache. 4 channels x 5 rows x 272 columns are 22 KB and the accumulators of four
// offsets x 4 rows x 256 columns 16 KB (float, kernel 3, dilation 2); 256 columns measured better than 128 and 512. Of
// row-planar maps the next four channels are asked for meanwhile.

#include "native/ops/cpu/local_similarity_tile.h"

namespace freqfusion::cpu::FREQFUSION_ISA::similarity {

// The working copy of a tile: [channel of the block][row][column], zero outside the map, `above` rows over the tile.
template <typename A>
struct Stage {
  A* values;
  int64_t above, rows, pitch, halo;

  Stage(const LocalSimilarityArgs& args, Scratch& scratch, int64_t above_rows)
      : above(above_rows), rows(kRows + args.reach_rows + above_rows), pitch(args.pitch), halo(args.halo) {
    values = scratch.take<A>(kBlock * rows * pitch + 16);  // load_run may write one vector beyond the last row
  }

  A* pixel(int64_t block_channel, int64_t m, int64_t i) const {
    return values + (block_channel * rows + above + m) * pitch + halo + i;
  }
};

template <typename S>
void stage_row(const S* row, int64_t step, int64_t width, int64_t first, int64_t count, Accumulator<S>* to) {
  const int64_t low = smaller(larger(0, -first), count);
  const int64_t high = larger(low, smaller(count, width - first));
  fill_zero(to, low);
  load_run(row + (first + low) * step, step, high - low, to + low);
  fill_zero(to + high, count - high);
}

// Calls body(first channel, channels) for every block of channels, staged.
template <typename S, typename Body>
void sweep_channels(const LocalSimilarityArgs& args, const Tile& tile, const Stage<Accumulator<S>>& stage,
                    const Body& body) {
  for (int64_t c = 0; c < args.channels; c += kBlock) {
    const int64_t count = smaller(kBlock, args.channels - c);
    for (int64_t b = 0; b < kBlock; ++b) {
      for (int64_t m = 0; m < stage.rows; ++m) {
        const int64_t y = tile.row + (m - stage.above) * args.dilation;
        auto* to = stage.values + (b * stage.rows + m) * stage.pitch;
        if (b < count && y >= 0 && y < args.height) {
          stage_row(address<S>(args.x, tile.image, c + b, y, 0), args.x.column, args.width, tile.column - stage.halo,
                    stage.pitch, to);
        } else {
          fill_zero(to, stage.pitch);
        }
      }
    }
    body(c, count);
  }
}

template <typename A>
void add_squares(const Stage<A>& stage, A* squares) {
  const int64_t plane = stage.rows * stage.pitch;
  for (int64_t i = 0; i < plane; i += Vec<A>::size) {
    Vec<A> sum = load(squares + i);
    for (int64_t b = 0; b < kBlock; ++b) {
      const Vec<A> value = load(stage.values + b * plane + i);
      sum = fma(value, value, sum);
    }
    store(squares + i, sum);
  }
}

// A tile's rows of the channels that are staged next, in elements. `first` is null after the last ones, and where each
// channel is a plane of its own: asking for those measured slower.
template <typename S>
struct Ahead {
  const S* first;
  int64_t channel, row;

  Ahead(const LocalSimilarityArgs& args, const Tile& tile, int64_t c)
      : first(c + kBlock <= args.channels && args.x.column == 1 && args.x.channel < args.x.row
                  ? address<S>(args.x, tile.image, c, tile.row, tile.column)
                  : nullptr),
        channel(args.x.channel),
        row(args.x.row * args.dilation) {}

  // Once a cache line.
  FREQFUSION_INLINE void prefetch(int64_t m, int64_t i) const {
    if (first == nullptr || i * static_cast<int64_t>(sizeof(S)) % 64 != 0) return;
    for (int64_t b = 0; b < kBlock; ++b) __builtin_prefetch(first + b * channel + m * row + i, 0, 2);
  }
};

// dots[offset][m][i] += x(p) x(p + offset) over the staged channels.
template <typename S, typename A>
void add_dots(const Stage<A>& stage, const Ahead<S>& ahead, const int64_t (&shifts)[4], int64_t rows, int64_t columns,
              int64_t tile_columns, A* dots) {
  const int64_t plane = stage.rows * stage.pitch, dots_plane = kRows * tile_columns;
  for (int64_t m = 0; m < rows; ++m) {
    for (int64_t i = 0; i < columns; i += Vec<A>::size) {
      ahead.prefetch(m, i);
      A* at_dots = dots + m * tile_columns + i;
      Vec<A> sums[4];
      for (int o = 0; o < 4; ++o) sums[o] = load(at_dots + o * dots_plane);
      const A* centre = stage.pixel(0, m, i);
#pragma GCC unroll 4
      for (int64_t b = 0; b < kBlock; ++b, centre += plane) {
        const Vec<A> own = load(centre);
        for (int o = 0; o < 4; ++o) sums[o] = fma(own, load(centre + shifts[o]), sums[o]);
      }
      for (int o = 0; o < 4; ++o) store(at_dots + o * dots_plane, sums[o]);
    }
  }
}

// Writes one row of similarities at their own pixels and mirrored at their partners, and 0 where the mirrored
// offset leads out of the map.
template <typename S>
void write_row(const LocalSimilarityArgs& args, const Tile& tile, const Offset& offset, int64_t m,
               const Accumulator<S>* values) {
  const Map& out = args.out;
  const int64_t y = tile.row + m * args.dilation, shift_y = offset.dy * args.dilation,
                shift_x = offset.dx * args.dilation;
  store_run(address<S>(out, tile.image, offset.channel, y, tile.column), out.column, tile.columns, values);

  const int64_t low = larger(0, -(tile.column + shift_x));
  const int64_t high = smaller(tile.columns, args.width - (tile.column + shift_x));
  if (y + shift_y < args.height && low < high) {
    store_run(address<S>(out, tile.image, offset.mirror, y + shift_y, tile.column + shift_x + low), out.column,
              high - low, values + low);
  }

  S* mirrored = address<S>(out, tile.image, offset.mirror, y, tile.column);
  const int64_t inside_low = y < shift_y ? tile.columns : smaller(tile.columns, larger(0, shift_x - tile.column));
  const int64_t inside_high = larger(inside_low, smaller(tile.columns, args.width + shift_x - tile.column));
  zero_run(mirrored, out.column, inside_low);
  zero_run(mirrored + inside_high * out.column, out.column, tile.columns - inside_high);
}

template <typename S>
void forward_planes(const LocalSimilarityArgs& args, Scratch scratch, int64_t begin, int64_t end) {
  using A = Accumulator<S>;
  const int64_t tile_columns = args.tile_columns, taps = args.kernel_size * args.kernel_size;
  const Stage<A> stage(args, scratch, 0);
  A* dots = scratch.take<A>(4 * kRows * tile_columns);
  A* norms = scratch.take<A>(stage.rows * stage.pitch);
  for (int64_t index = begin; index < end; ++index) {
    const Tile tile(args, index);
    if (tile.rows == 0) continue;
    for (int64_t first = taps / 2 + 1; first < taps; first += 4) {
      const Offset offsets[4] = {{args, first}, {args, first + 1}, {args, first + 2}, {args, first + 3}};
      int64_t shifts[4];
      for (int o = 0; o < 4; ++o) {
        shifts[o] = offsets[o].reaches ? offsets[o].dy * stage.pitch + offsets[o].dx * args.dilation : 0;
      }
      const bool norms_too = args.cosine && first == taps / 2 + 1;
      fill_zero(dots, 4 * kRows * tile_columns);
      if (norms_too) fill_zero(norms, stage.rows * stage.pitch);
      sweep_channels<S>(args, tile, stage, [&](int64_t c, int64_t) {
        add_dots(stage, Ahead<S>(args, tile, c + kBlock), shifts, tile.rows, tile.columns, tile_columns, dots);
        if (norms_too) add_squares(stage, norms);
      });
      if (norms_too) squares_to_inverse_norms(norms, stage.rows * stage.pitch);

      for (int o = 0; o < 4; ++o) {
        for (int64_t m = 0; m < tile.rows; ++m) {
          A* row = dots + (o * kRows + m) * tile_columns;
          const A* own = norms + m * stage.pitch + stage.halo;
          if (!offsets[o].reaches) {
            fill_zero(row, tile_columns);
          } else if (args.cosine) {
            for (int64_t i = 0; i < tile.columns; ++i) row[i] = row[i] * own[i] * own[i + shifts[o]];
          }
          write_row<S>(args, tile, offsets[o], m, row);
        }
      }
    }
  }
}

// weights[dy][dx][m][i] = K, times the partner's inverse norm for the cosine.
template <typename S>
void load_weights(const LocalSimilarityArgs& args, const Tile& tile, const Stage<Accumulator<S>>& stage,
                  const Accumulator<S>* norms, Accumulator<S>* partner, Accumulator<S>* weights) {
  const Map& grad = args.grad_output;
  const int64_t ry = args.reach_rows, rx = args.reach_columns, k = args.kernel_size;
  for (int64_t dy = -ry; dy <= ry; ++dy) {
    for (int64_t dx = -rx; dx <= rx; ++dx, weights += kRows * args.tile_columns) {
      if (dy == 0 && dx == 0) continue;
      const Offset offset(args, (dy + k / 2) * k + dx + k / 2);
      for (int64_t m = 0; m < tile.rows; ++m) {
        const int64_t y = tile.row + m * args.dilation, partner_y = y + dy * args.dilation;
        auto* row = weights + m * args.tile_columns;
        load_run(address<S>(grad, tile.image, offset.channel, y, tile.column), grad.column, tile.columns, row);
        if (partner_y < 0 || partner_y >= args.height) continue;  // meets the staged zeros
        stage_row(address<S>(grad, tile.image, offset.mirror, partner_y, 0), grad.column, args.width,
                  tile.column + dx * args.dilation, tile.columns, partner);
        for (int64_t i = 0; i < tile.columns; ++i) row[i] += partner[i];
        if (args.cosine) {
          const auto* norm = norms + (stage.above + m + dy) * stage.pitch + stage.halo + dx * args.dilation;
          for (int64_t i = 0; i < tile.columns; ++i) row[i] *= norm[i];
        }
      }
    }
  }
}

// Calls body(m, i, gathered[4]) with the weighted sums over the window of the four staged channels.
template <typename A, typename Body>
void gather_window(const LocalSimilarityArgs& args, const Tile& tile, const Stage<A>& stage, const A* weights,
                   const Body& body) {
  const int64_t ry = args.reach_rows, rx = args.reach_columns, plane = stage.rows * stage.pitch,
                weights_plane = kRows * args.tile_columns;
  for (int64_t m = 0; m < tile.rows; ++m) {
    for (int64_t i = 0; i < tile.columns; i += Vec<A>::size) {
      Vec<A> gathered[kBlock];
      for (int64_t b = 0; b < kBlock; ++b) gathered[b] = zero<A>();
      const A* weight = weights + m * args.tile_columns + i;
      for (int64_t dy = -ry; dy <= ry; ++dy) {
        const A* partner = stage.pixel(0, m + dy, i);
        for (int64_t dx = -rx; dx <= rx; ++dx, weight += weights_plane) {
          if (dy == 0 && dx == 0) continue;
          const Vec<A> w = load(weight);
          for (int64_t b = 0; b < kBlock; ++b) {
            gathered[b] = fma(w, load(partner + b * plane + dx * args.dilation), gathered[b]);
          }
        }
      }
      body(m, i, gathered);
    }
  }
}

template <typename S>
void backward_planes(const LocalSimilarityArgs& args, Scratch scratch, int64_t begin, int64_t end) {
  using A = Accumulator<S>;
  const int64_t tile_columns = args.tile_columns, tile_size = kRows * tile_columns;
  const Stage<A> stage(args, scratch, args.reach_rows);
  const int64_t plane = stage.rows * stage.pitch;
  A* norms = scratch.take<A>(plane);
  A* weights = scratch.take<A>(args.active_taps * tile_size);
  A* along = scratch.take<A>(tile_size);
  A* result = scratch.take<A>(kBlock * tile_size);
  for (int64_t index = begin; index < end; ++index) {
    const Tile tile(args, index);
    if (tile.rows == 0) continue;
    if (args.cosine) {
      fill_zero(norms, plane);
      sweep_channels<S>(args, tile, stage, [&](int64_t, int64_t) { add_squares(stage, norms); });
      squares_to_inverse_norms(norms, plane);
    }
    load_weights<S>(args, tile, stage, norms, result, weights);
    if (args.cosine) {
      fill_zero(along, tile_size);
      sweep_channels<S>(args, tile, stage, [&](int64_t, int64_t) {
        gather_window(args, tile, stage, weights, [&](int64_t m, int64_t i, const Vec<A>* gathered) {
          Vec<A> sum = load(along + m * tile_columns + i);
          for (int64_t b = 0; b < kBlock; ++b) sum = fma(load(stage.pixel(b, m, i)), gathered[b], sum);
          store(along + m * tile_columns + i, sum);
        });
      });
      for (int64_t m = 0; m < tile.rows; ++m) {
        const A* norm = norms + (stage.above + m) * stage.pitch + stage.halo;
        A* row = along + m * tile_columns;
        // A clamped norm is a constant: nothing drops out.
        for (int64_t i = 0; i < tile.columns; ++i)
          row[i] = norm[i] < A(1) / A(1e-8) ? row[i] * norm[i] * norm[i] : A(0);
      }
    }
    sweep_channels<S>(args, tile, stage, [&](int64_t c, int64_t count) {
      gather_window(args, tile, stage, weights, [&](int64_t m, int64_t i, const Vec<A>* gathered) {
        const Vec<A> part = load(along + m * tile_columns + i);
        const Vec<A> norm = load(norms + (stage.above + m) * stage.pitch + stage.halo + i);
        for (int64_t b = 0; b < kBlock; ++b) {
          const Vec<A> value = args.cosine ? norm * (gathered[b] - part * load(stage.pixel(b, m, i))) : gathered[b];
          store(result + b * tile_size + m * tile_columns + i, value);
        }
      });
      for (int64_t b = 0; b < count; ++b) {
        for (int64_t m = 0; m < tile.rows; ++m) {
          store_run(address<S>(args.out, tile.image, c + b, tile.row + m * args.dilation, tile.column), args.out.column,
                    tile.columns, result + b * tile_size + m * tile_columns);
        }
      }
    });
  }
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA::similarity
