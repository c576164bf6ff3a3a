#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"

namespace freqfusion {

// masks [K, h, w] are stretched over boxes [K, 4] (x1, y1, x2, y2): pixel x of the canvas reads the mask at
// (x + 0.5 - x1) / (x2 - x1), bilinear, 0 outside. A side of length 0 reads the mask's centre everywhere; a box that is
// not finite pastes nothing.

// -> float32 [K, height, width] (float64 for float64 masks). With skip_empty a box writes no further than one pixel
// around it, as mmdet does on a CPU: values below half of the mask's border are cut off there.
FREQFUSION_API at::Tensor mask_paste(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width,
                                     bool skip_empty);

// Rows and columns that hold all boxes and one pixel around them, on the canvas.
struct PasteWindow {
  int64_t top, bottom, left, right;  // bottom and right are past the end
};
FREQFUSION_API PasteWindow paste_window(const at::Tensor& boxes, int64_t height, int64_t width);

// COCO's run lengths of `mask_paste(..., skip_empty = true) >= threshold`.
struct MaskRuns {
  at::Tensor runs;    // int32 [R], column by column, each mask's first run is of zeros
  at::Tensor starts;  // int64 [K + 1], where each mask's runs begin
  at::Tensor areas;   // int64 [K], pixels that are set
};

// Box by box: the canvas is never held. masks and boxes on any device, results on the CPU. threshold above 0.
FREQFUSION_API MaskRuns mask_runs(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width,
                                  double threshold);

}  // namespace freqfusion
