#pragma once

// The body of mask_paste. A thread owns one pixel of one canvas.

#include "native/ops/cuda/mask_paste.h"

namespace freqfusion::cuda {

// Where a pixel reads one side of a mask that stretches from `low` to `high`. A texel outside has the weight 0.
template <typename A>
struct MaskTap {
  int64_t below, above;
  A below_weight, above_weight;

  FREQFUSION_HD MaskTap(A low, A high, int64_t texels, int64_t pixel, bool tight) {
    below = above = 0;
    below_weight = above_weight = 0;
    const A side = high - low, size = static_cast<A>(texels), at = static_cast<A>(pixel);
    if (tight && !(at >= floor(low) - 1 && at < ceil(high) + 1)) return;
    // A side of length 0 reads the mask's centre everywhere.
    const A position = side > 0 ? (at + A(0.5) - low) / side * 2 - 1 : A(0);
    const A texel = ((position + 1) * size - 1) / 2;
    if (!(texel > -1 && texel < size)) return;
    const A whole = floor(texel), fraction = texel - whole;
    const int64_t base = static_cast<int64_t>(whole);
    if (base >= 0) below = base, below_weight = 1 - fraction;
    above = base + 1 < texels ? base + 1 : texels - 1;
    above_weight = base + 1 < texels ? fraction : A(0);
  }
};

template <typename A>
struct MaskPaste {
  const A *masks, *boxes;
  A* canvas;
  int64_t rows, columns, height, width, threads;
  bool tight;

  explicit MaskPaste(const MaskPasteArgs& args)
      : masks(static_cast<const A*>(args.masks)),
        boxes(static_cast<const A*>(args.boxes)),
        canvas(static_cast<A*>(args.canvas)),
        rows(args.rows),
        columns(args.columns),
        height(args.height),
        width(args.width),
        threads(args.count * args.height * args.width),
        tight(args.tight) {}

  FREQFUSION_HD void operator()(int64_t thread) const {
    const int64_t column = thread % width, row = thread / width % height, k = thread / width / height;
    const A* box = boxes + 4 * k;
    const A x1 = read(box), y1 = read(box + 1), x2 = read(box + 2), y2 = read(box + 3);
    A value = 0;
    // NaN fails the comparisons, an infinite side the difference.
    if (x2 >= x1 && y2 >= y1 && x1 - x1 == 0 && y1 - y1 == 0 && x2 - x2 == 0 && y2 - y2 == 0) {
      const MaskTap<A> x(x1, x2, columns, column, tight), y(y1, y2, rows, row, tight);
      const bool reads = (x.below_weight != 0 || x.above_weight != 0) && (y.below_weight != 0 || y.above_weight != 0);
      if (reads) {
        const A *lower = masks + (k * rows + y.below) * columns, *upper = masks + (k * rows + y.above) * columns;
        const A first = x.below_weight * read(lower + x.below) + x.above_weight * read(lower + x.above);
        const A second = x.below_weight * read(upper + x.below) + x.above_weight * read(upper + x.above);
        value = y.below_weight * first + y.above_weight * second;
      }
    }
    canvas[thread] = value;
  }
};

}  // namespace freqfusion::cuda
