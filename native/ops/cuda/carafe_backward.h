#pragma once

// The bodies of carafe's gradients. Both gather: a thread sums what belongs to its own elements, so no atomics are
// needed and the result does not depend on the order of the threads.

#include "native/ops/cuda/carafe_forward.h"

namespace freqfusion::cuda {

// The tap positions that read row (or column) `i`: itself, and what the reflecting border mirrors onto it.
template <typename I>
FREQFUSION_HD int mirrored(I i, I size, I radius, bool reflect, I* positions) {
  int count = 0;
  positions[count++] = i;
  if (reflect && i > 0 && i <= radius) positions[count++] = -i;
  if (reflect && i < size - 1 && size - 1 - i <= radius) positions[count++] = 2 * (size - 1) - i;
  return count;
}

template <typename S, typename I, int width, bool channels_fastest, bool packed>
struct CarafeGradFeatures {
  using A = Accumulator<S>;
  CarafeGrid<I, channels_fastest> grid;
  View<const S, I> masks, grad_output;
  View<S, I> grad_features;
  I threads;
  int kernel_size, scale;
  bool reflect;

  explicit CarafeGradFeatures(const CarafeArgs& args)
      : grid(args, width),
        masks(args.masks),
        grad_output(args.output),
        grad_features(args.grad_features),
        threads(grid.threads(args.batch)),
        kernel_size(args.kernel_size),
        scale(args.scale),
        reflect(args.reflect) {}

  // What the pixel (y, x) got through one tap, over its scale * scale output pixels.
  FREQFUSION_HD void add_tap(const CarafePlace<I>& at, I tap, I y, I x, A* sums) const {
    const S* weight = masks.at(at.image, at.group * kernel_size * kernel_size + tap, y * scale, x * scale);
    const S* grad = grad_output.at(at.image, at.first, y * scale, x * scale);
    for (int i = 0; i < scale; ++i) {
      for (int j = 0; j < scale; ++j) {
        const A w = widen(read(weight + i * masks.row + j * masks.column));
        A values[width];
        read_block<packed, width>(grad + i * grad_output.row + j * grad_output.column, grad_output.channel, at.count,
                                  values);
        FREQFUSION_UNROLL
        for (int c = 0; c < width; ++c) sums[c] += w * values[c];
      }
    }
  }

  FREQFUSION_HD void operator()(I thread) const {
    const CarafePlace<I> at = grid.place(thread);
    const I radius = kernel_size / 2;
    I rows[3], columns[3];
    const int row_count = mirrored(at.y, grid.height, radius, reflect, rows);
    const int column_count = mirrored(at.x, grid.width, radius, reflect, columns);
    A sums[width] = {};
    for (int r = 0; r < row_count; ++r) {
      for (int ky = 0; ky < kernel_size; ++ky) {
        const I y = rows[r] - (ky - radius);
        if (y < 0 || y >= grid.height) continue;
        for (int c = 0; c < column_count; ++c) {
          for (int kx = 0; kx < kernel_size; ++kx) {
            const I x = columns[c] - (kx - radius);
            if (x < 0 || x >= grid.width) continue;
            add_tap(at, static_cast<I>(ky) * kernel_size + kx, y, x, sums);
          }
        }
      }
    }
    write_block<packed, width>(grad_features.at(at.image, at.first, at.y, at.x), grad_features.channel, at.count, sums);
  }
};

// Taps whose sums a thread keeps: one row of the usual kernel of 5.
constexpr int kTapBlock = 5;

// A thread owns one source pixel and kTapBlock taps of one group, at all scale * scale output pixels. Packed: 16 bytes
// of channels at once.
template <typename S, typename I, int scale, bool packed>
struct CarafeGradMasks {
  using A = Accumulator<S>;
  static constexpr int pixels = scale * scale;
  static constexpr int width = packed ? kPack<S> : 1;
  View<const S, I> features, grad_output;
  View<S, I> grad_masks;
  I threads, height, map_width, group_channels, groups, blocks;
  int kernel_size;
  bool reflect, taps_fastest;

  explicit CarafeGradMasks(const CarafeArgs& args)
      : features(args.features),
        grad_output(args.output),
        grad_masks(args.grad_masks),
        height(static_cast<I>(args.height)),
        map_width(static_cast<I>(args.width)),
        group_channels(static_cast<I>(args.channels / args.groups)),
        groups(static_cast<I>(args.groups)),
        blocks((args.kernel_size * args.kernel_size + kTapBlock - 1) / kTapBlock),
        kernel_size(args.kernel_size),
        reflect(args.reflect),
        taps_fastest(args.grad_masks.channel == 1) {
    threads = static_cast<I>(args.batch) * height * map_width * groups * blocks;
  }

  FREQFUSION_HD void operator()(I t) const {
    I image, group, block, y, x;
    if (taps_fastest) {
      block = t % blocks, t /= blocks;
      group = t % groups, t /= groups;
      x = t % map_width, t /= map_width;
      y = t % height;
      image = t / height;
    } else {
      x = t % map_width, t /= map_width;
      y = t % height, t /= height;
      block = t % blocks, t /= blocks;
      group = t % groups;
      image = t / groups;
    }
    const I taps = static_cast<I>(kernel_size) * kernel_size, first = block * kTapBlock, radius = kernel_size / 2;
    I sources[kTapBlock];
    bool inside[kTapBlock];
    FREQFUSION_UNROLL
    for (int i = 0; i < kTapBlock; ++i) {
      const I tap = first + i;
      const I sy = tap_source<I>(y + tap / kernel_size - radius, height, reflect);
      const I sx = tap_source<I>(x + tap % kernel_size - radius, map_width, reflect);
      inside[i] = tap < taps && sy >= 0 && sx >= 0;
      sources[i] = inside[i] ? sy * features.row + sx * features.column : 0;
    }
    A sums[kTapBlock][pixels];
    FREQFUSION_UNROLL
    for (int i = 0; i < kTapBlock; ++i) {
      FREQFUSION_UNROLL
      for (int p = 0; p < pixels; ++p) sums[i][p] = 0;
    }
    const S* in = features.at(image, group * group_channels, 0, 0);
    const S* grad = grad_output.at(image, group * group_channels, y * scale, x * scale);
    for (I c = 0; c < group_channels; c += width, in += width * features.channel, grad += width * grad_output.channel) {
      A grads[pixels][width];
      FREQFUSION_UNROLL
      for (int p = 0; p < pixels; ++p) {
        read_block<packed, width>(grad + p / scale * grad_output.row + p % scale * grad_output.column,
                                  grad_output.channel, width, grads[p]);
      }
      FREQFUSION_UNROLL
      for (int i = 0; i < kTapBlock; ++i) {
        if (!inside[i]) continue;
        A values[width];
        read_block<packed, width>(in + sources[i], features.channel, width, values);
        FREQFUSION_UNROLL
        for (int p = 0; p < pixels; ++p) {
          FREQFUSION_UNROLL
          for (int v = 0; v < width; ++v) sums[i][p] += grads[p][v] * values[v];
        }
      }
    }
    FREQFUSION_UNROLL
    for (int i = 0; i < kTapBlock; ++i) {
      if (first + i >= taps) break;
      S* out = grad_masks.at(image, group * taps + first + i, y * scale, x * scale);
      FREQFUSION_UNROLL
      for (int p = 0; p < pixels; ++p) {
        out[p / scale * grad_masks.row + p % scale * grad_masks.column] = narrow<S>(sums[i][p]);
      }
    }
  }
};

}  // namespace freqfusion::cuda
