#pragma once

// mask_paste on raw pointers. Compiled by nvcc; the glue beside it calls these.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

struct MaskPasteArgs {
  bool is_double;
  const void* masks;  // [count, rows, columns], dense
  const void* boxes;  // [count, 4], dense
  int64_t count, rows, columns;
  int64_t height, width;  // of the canvas
  bool tight;             // a box writes no further than one pixel around it
  void* canvas;           // written: [count, height, width]
};

// Returns null, or what went wrong. All sizes are at least 1.
const char* mask_paste(const MaskPasteArgs& args, void* stream);

}  // namespace freqfusion::cuda
