#pragma once

// The bodies of carafe's forward kernels. A thread owns one source pixel and computes all scale * scale output pixels
// of it: they share the patch around it.

#include "native/ops/cuda/carafe.h"

namespace freqfusion::cuda {

// The row or column that a tap at `i` reads, or -1 where it reads nothing.
template <typename I>
FREQFUSION_HD I tap_source(I i, I size, bool reflect) {
  if (i >= 0 && i < size) return i;
  if (!reflect) return -1;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

// Where a thread works: one source pixel, `count` channels of one group from `first` on.
template <typename I>
struct CarafePlace {
  I image, group, first, y, x;
  int count;
};

// Threads over source pixels and blocks of channels. On planes neighbouring threads take neighbouring columns, on
// channels-last maps neighbouring blocks of channels: both read and write neighbouring addresses.
template <typename I, bool channels_fastest>
struct CarafeGrid {
  I height, width, group_channels, groups, block, blocks;

  CarafeGrid(const CarafeArgs& args, int64_t block_channels)
      : height(static_cast<I>(args.height)),
        width(static_cast<I>(args.width)),
        group_channels(static_cast<I>(args.channels / args.groups)),
        groups(static_cast<I>(args.groups)),
        block(static_cast<I>(block_channels)),
        blocks((group_channels + block - 1) / block) {}

  I threads(int64_t batch) const { return static_cast<I>(batch) * height * width * groups * blocks; }

  FREQFUSION_HD CarafePlace<I> place(I t) const {
    CarafePlace<I> at;
    I part;
    if constexpr (channels_fastest) {
      part = t % blocks, t /= blocks;
      at.group = t % groups, t /= groups;
      at.x = t % width, t /= width;
      at.y = t % height;
      at.image = t / height;
    } else {
      at.x = t % width, t /= width;
      at.y = t % height, t /= height;
      part = t % blocks, t /= blocks;
      at.group = t % groups;
      at.image = t / groups;
    }
    at.first = at.group * group_channels + part * block;
    const I left = group_channels - part * block;
    at.count = static_cast<int>(left < block ? left : block);
    return at;
  }
};

// Tap after tap, the sums of `width` channels in registers: any kernel, any layout. With `width` the whole group this
// is the variant for few channels, which reads each weight once.
template <typename S, typename I, int scale, int width, bool channels_fastest, bool packed>
struct CarafeTaps {
  using A = Accumulator<S>;
  CarafeGrid<I, channels_fastest> grid;
  View<const S, I> features, masks;
  View<S, I> output;
  I threads;
  int kernel_size, own;
  bool reflect;

  explicit CarafeTaps(const CarafeArgs& args)
      : grid(args, width),
        features(args.features),
        masks(args.masks),
        output(args.output),
        threads(grid.threads(args.batch)),
        kernel_size(args.kernel_size),
        own(args.own),
        reflect(args.reflect) {}

  FREQFUSION_HD void operator()(I thread) const {
    const CarafePlace<I> at = grid.place(thread);
    A sums[scale * scale][width];
    FREQFUSION_UNROLL
    for (int p = 0; p < scale * scale; ++p) {
      FREQFUSION_UNROLL
      for (int c = 0; c < width; ++c) sums[p][c] = 0;
    }
    const I radius = kernel_size / 2;
    const S* weight = masks.at(at.image, at.group * kernel_size * kernel_size, at.y * scale, at.x * scale);
    for (int ky = 0; ky < kernel_size; ++ky) {
      const I sy = tap_source<I>(at.y + ky - radius, grid.height, reflect);
      for (int kx = 0; kx < kernel_size; ++kx, weight += masks.channel) {
        const I sx = tap_source<I>(at.x + kx - radius, grid.width, reflect);
        if (sy < 0 || sx < 0) continue;
        A values[width];
        read_block<packed, width>(features.at(at.image, at.first, sy, sx), features.channel, at.count, values);
        FREQFUSION_UNROLL
        for (int p = 0; p < scale * scale; ++p) {
          const A w = widen(read(weight + p / scale * masks.row + p % scale * masks.column));
          FREQFUSION_UNROLL
          for (int c = 0; c < width; ++c) sums[p][c] += w * values[c];
        }
      }
    }
    if (own != 0) {
      A values[width];
      read_block<packed, width>(features.at(at.image, at.first, at.y, at.x), features.channel, at.count, values);
      FREQFUSION_UNROLL
      for (int c = 0; c < width; ++c) sums[0][c] = static_cast<A>(own) * values[c] - sums[0][c];
    }
    S* out = output.at(at.image, at.first, at.y * scale, at.x * scale);
    FREQFUSION_UNROLL
    for (int p = 0; p < scale * scale; ++p) {
      write_block<packed, width>(out + p / scale * output.row + p % scale * output.column, output.channel, at.count,
                                 sums[p]);
    }
  }
};

// The usual kernels on planes: the weights of all taps and output pixels stay in registers, and the channels go by.
template <typename S, int k, int scale>
struct CarafeWeights {
  using A = Accumulator<S>;
  using I = int32_t;
  static constexpr int pixels = scale * scale;
  CarafeGrid<I, false> grid;
  View<const S, I> features, masks;
  View<S, I> output;
  I threads;
  int own;
  bool reflect, paired_masks, paired_output;

  CarafeWeights(const CarafeArgs& args, int64_t block)
      : grid(args, block),
        features(args.features),
        masks(args.masks),
        output(args.output),
        threads(grid.threads(args.batch)),
        own(args.own),
        reflect(args.reflect),
        paired_masks(pairs(args.masks)),
        paired_output(pairs(args.output)) {}

  // Two neighbouring output columns in one access.
  static bool pairs(const Map& map) {
    return scale == 2 && map.column == 1 && packs<S>(map, 2, {map.image, map.channel, map.row});
  }

  FREQFUSION_HD void read_pixels(const S* from, A* values) const {
    if constexpr (scale == 2) {
      if (paired_masks) {
        FREQFUSION_UNROLL
        for (int i = 0; i < 2; ++i) {
          const auto pair = read(reinterpret_cast<const Pack<S, 2>*>(from + i * masks.row));
          values[2 * i] = widen(pair.values[0]);
          values[2 * i + 1] = widen(pair.values[1]);
        }
        return;
      }
    }
    FREQFUSION_UNROLL
    for (int p = 0; p < pixels; ++p) {
      values[p] = widen(read(from + p / scale * masks.row + p % scale * masks.column));
    }
  }

  FREQFUSION_HD void write_pixels(S* to, const A* sums) const {
    if constexpr (scale == 2) {
      if (paired_output) {
        FREQFUSION_UNROLL
        for (int i = 0; i < 2; ++i) {
          *reinterpret_cast<Pack<S, 2>*>(to + i * output.row) = {{narrow<S>(sums[2 * i]), narrow<S>(sums[2 * i + 1])}};
        }
        return;
      }
    }
    FREQFUSION_UNROLL
    for (int p = 0; p < pixels; ++p) to[p / scale * output.row + p % scale * output.column] = narrow<S>(sums[p]);
  }

  template <bool at_border>
  FREQFUSION_HD void sweep(const CarafePlace<I>& at, const I* rows, const I* columns, uint32_t inside,
                           const A (*weights)[pixels]) const {
    const S* in = features.at(at.image, at.first, 0, 0);
    S* out = output.at(at.image, at.first, at.y * scale, at.x * scale);
    for (int c = 0; c < at.count; ++c, in += features.channel, out += output.channel) {
      A sums[pixels] = {};
      FREQFUSION_UNROLL
      for (int t = 0; t < k * k; ++t) {
        A value = 0;
        if (!at_border || (inside >> t & 1u) != 0) value = widen(read(in + rows[t / k] + columns[t % k]));
        FREQFUSION_UNROLL
        for (int p = 0; p < pixels; ++p) sums[p] += weights[t][p] * value;
      }
      if (own != 0) {
        sums[0] = static_cast<A>(own) * widen(read(in + rows[k / 2] + columns[k / 2])) - sums[0];
      }
      write_pixels(out, sums);
    }
  }

  FREQFUSION_HD void operator()(I thread) const {
    const CarafePlace<I> at = grid.place(thread);
    I rows[k], columns[k];
    uint32_t inside = 0, rows_inside = 0, columns_inside = 0;
    FREQFUSION_UNROLL
    for (int i = 0; i < k; ++i) {
      const I y = tap_source<I>(at.y + i - k / 2, grid.height, reflect);
      const I x = tap_source<I>(at.x + i - k / 2, grid.width, reflect);
      rows_inside |= (y >= 0 ? 1u : 0u) << i;
      columns_inside |= (x >= 0 ? 1u : 0u) << i;
      rows[i] = y * features.row;
      columns[i] = x * features.column;
    }
    A weights[k * k][pixels];
    const S* weight = masks.at(at.image, at.group * k * k, at.y * scale, at.x * scale);
    FREQFUSION_UNROLL
    for (int t = 0; t < k * k; ++t) {
      read_pixels(weight + t * masks.channel, weights[t]);
      if ((rows_inside >> (t / k) & columns_inside >> (t % k) & 1u) != 0) {
        inside |= 1u << t;
      } else {
        // A tap outside the map counts nothing, whatever its weight.
        FREQFUSION_UNROLL
        for (int p = 0; p < pixels; ++p) weights[t][p] = 0;
      }
    }
    if (inside == (1u << (k * k)) - 1) {
      sweep<false>(at, rows, columns, inside, weights);
    } else {
      sweep<true>(at, rows, columns, inside, weights);
    }
  }
};

}  // namespace freqfusion::cuda
