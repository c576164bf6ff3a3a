#pragma once

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

// One box: its map and, in the arrays of its run, what its bins read.
struct RoiPlan {
  Map map;
  int64_t image;
  int64_t index;         // row of the output
  int64_t first_end;     // ends[first_end + bin] is past the last tap of a bin: first the rows, then the columns
  int64_t first_tap;     // of its first bin; every other bin begins where the one before ends
  int64_t first_column;  // in `columns`: every column that a bin reads
  int64_t columns;       // how many these are
  int64_t width;         // of the map
  bool neighbours;       // each column is the one before it plus 1
  bool finite;           // false: the output is NaN
};

// The plans of a run of boxes.
struct RoiRun {
  const RoiPlan* rois;
  const int32_t* ends;
  const int32_t* taps;     // of a row bin: rows of the map; of a column bin: places in the box's columns
  const void* weights;     // of the taps, in the accumulation type
  const int32_t* columns;  // columns of the map
};

struct RoiAlignArgs {
  Storage storage;
  int64_t out_height, out_width;
  // Forward: written, [K, C, out_height, out_width]. Backward: the gradient of it.
  Map out;
  // Backward: written, [N, C, H, W] in the accumulation type, channels side by side.
  Map sums;
};

// Boxes [begin, end) of a run and channels [first, last).
struct RoiAlignTask {
  RoiRun run;
  int64_t begin, end, first, last;
};

// Bytes of scratch memory that the kernels below need for boxes of at most so many columns.
FREQFUSION_DECLARE_KERNEL(int64_t, roi_align_scratch_bytes, (const RoiAlignArgs& args, int64_t columns))
// From maps whose channels lie side by side.
FREQFUSION_DECLARE_KERNEL(void, roi_align_forward_dense,
                          (const RoiAlignArgs& args, const RoiAlignTask& task, void* scratch))
// From maps of any layout.
FREQFUSION_DECLARE_KERNEL(void, roi_align_forward_planes,
                          (const RoiAlignArgs& args, const RoiAlignTask& task, void* scratch))
// Adds to the sums. Two tasks at a time must differ in their images or in their channels.
FREQFUSION_DECLARE_KERNEL(void, roi_align_backward, (const RoiAlignArgs& args, const RoiAlignTask& task, void* scratch))

}  // namespace freqfusion::cpu
