#pragma once

// roi_align on raw pointers. Compiled by nvcc; the glue beside it calls these.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

struct RoiAlignArgs {
  Storage storage;
  int64_t images, channels, height, width;  // of the map
  int64_t boxes, out_height, out_width;
  double spatial_scale;
  int sampling_ratio;
  bool aligned;
  // [boxes, 5] in the accumulation type, steps in elements.
  const void* rois;
  int64_t roi_step, roi_column;
  // Where not null: only boxes with levels[box] == level.
  const int64_t* levels;
  int64_t level;
  Map features;
  Map out;   // the output, or its gradient
  Map sums;  // backward: of the map, in the accumulation type, 0 at first
};

// Each returns null, or what went wrong. All sizes of the output are at least 1; image indices are valid.
const char* roi_align_forward(const RoiAlignArgs& args, void* stream);
// Adds with atomics: the order of the sums, and their last bits, vary from run to run.
const char* roi_align_backward(const RoiAlignArgs& args, void* stream);

}  // namespace freqfusion::cuda
