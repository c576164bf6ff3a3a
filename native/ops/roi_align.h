#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"

namespace freqfusion {

struct RoiAlignOptions {
  int64_t out_height = 7, out_width = 7;  // bins, 1..256
  double spatial_scale = 1;               // pixels of the map per unit of the boxes: 1 / stride
  int64_t sampling_ratio = 0;             // samples per bin and side, 0..64; 0 = ceil(box side / bins), box by box
  bool aligned = true;                    // false: no shift by half a pixel, and sides of at least 1
};

// RoIAlign (Mask R-CNN, ICCV 2017), average of bilinear samples, as mmcv computes it.
// features [N, C, H, W] of any layout, rois [K, 5] = (image, x1, y1, x2, y2), float32 (float64 for float64 features)
// -> [K, C, out_height, out_width] in the dtype and the memory format of the features.
// A sample outside [-1, H] x [-1, W] counts as 0; a box without area gives 0, one that is not finite gives NaN.
// An image index outside 0..N-1 is an error. No gradient goes to the boxes.
FREQFUSION_API at::Tensor roi_align(const at::Tensor& features, const at::Tensor& rois, const RoiAlignOptions& options);

// Gradient with respect to features of shape `sizes`, in the memory format of grad_output.
FREQFUSION_API at::Tensor roi_align_backward(const at::Tensor& grad_output, const at::Tensor& rois,
                                             at::IntArrayRef sizes, const RoiAlignOptions& options);

// The argument rules, the same for every backend. Throws c10::Error.
void check_roi_align(const at::Tensor& features, const at::Tensor& rois, const RoiAlignOptions& options);
void check_roi_align_backward(const at::Tensor& grad_output, const at::Tensor& rois, c10::SymIntArrayRef sizes,
                              const RoiAlignOptions& options);

}  // namespace freqfusion
