#pragma once

// What the backends of mask_paste and mask_runs share.

#include "native/ops/mask_paste.h"

namespace freqfusion {

// Each throws c10::Error.
void check_boxes(const at::Tensor& boxes);
void check_canvas(int64_t height, int64_t width);
void check_mask_paste(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width);
void check_mask_runs(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width, double threshold);

// float64 for float64, float32 for everything else.
at::ScalarType paste_dtype(const at::Tensor& masks);

// One box's pixels and one around them, on the canvas. Empty for a box that is not finite, is reversed or lies outside.
PasteWindow box_window(double x1, double y1, double x2, double y2, int64_t height, int64_t width);

}  // namespace freqfusion
