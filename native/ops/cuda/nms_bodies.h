#pragma once

// The bodies of nms. A thread compares one box with the 64 of one word.

#include "native/ops/cuda/exact.h"
#include "native/ops/cuda/nms.h"

namespace freqfusion::cuda {

template <typename A>
struct NmsTable {
  const A* boxes;
  uint64_t* table;
  int64_t count, words, threads;
  A threshold, offset;

  explicit NmsTable(const NmsArgs& args)
      : boxes(static_cast<const A*>(args.boxes)),
        table(args.table),
        count(args.count),
        words((args.count + kNmsWord - 1) / kNmsWord),
        threads(args.count * words),
        threshold(static_cast<A>(args.iou_threshold)),
        offset(static_cast<A>(args.offset)) {}

  struct Box {
    A x1, y1, x2, y2;
  };

  FREQFUSION_HD Box box(int64_t i) const {
    return {read(boxes + 4 * i), read(boxes + 4 * i + 1), read(boxes + 4 * i + 2), read(boxes + 4 * i + 3)};
  }
  FREQFUSION_HD A area(const Box& b) const { return product(b.x2 - b.x1 + offset, b.y2 - b.y1 + offset); }

  FREQFUSION_HD bool drops(const Box& better, const Box& other) const {
    const A left = better.x1 > other.x1 ? better.x1 : other.x1, top = better.y1 > other.y1 ? better.y1 : other.y1;
    const A right = better.x2 < other.x2 ? better.x2 : other.x2, bottom = better.y2 < other.y2 ? better.y2 : other.y2;
    const A width = right - left + offset, height = bottom - top + offset;
    const A common = product(width > 0 ? width : A(0), height > 0 ? height : A(0));
    return common / (area(better) + area(other) - common) > threshold;
  }

  FREQFUSION_HD void operator()(int64_t thread) const {
    // Neighbouring threads share their 64 boxes.
    const int64_t row = thread % count, word = thread / count;
    uint64_t bits = 0;
    if (word >= row / kNmsWord) {
      const Box better = box(row);
      const int64_t first = word * kNmsWord;
      const int64_t last = first + kNmsWord < count ? first + kNmsWord : count;
      for (int64_t other = first > row ? first : row + 1; other < last; ++other) {
        if (drops(better, box(other))) bits |= uint64_t{1} << (other - first);
      }
    }
    table[row * words + word] = bits;
  }
};

}  // namespace freqfusion::cuda
