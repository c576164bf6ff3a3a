#pragma once

// nms on raw pointers. Compiled by nvcc; the glue beside it calls these.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

// Boxes a word of the table says something about.
constexpr int kNmsWord = 64;

struct NmsArgs {
  bool is_double;
  const void* boxes;  // [count, 4], best score first
  int64_t count;
  double iou_threshold;
  int offset;
  // Written: [count, words]. Bit j of word w of row i: i would drop box 64 * w + j, which comes after it.
  uint64_t* table;
};

// Returns null, or what went wrong. count is at least 1.
const char* nms_table(const NmsArgs& args, void* stream);

}  // namespace freqfusion::cuda
