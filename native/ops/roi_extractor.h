#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "native/ops/roi_align.h"

namespace freqfusion {

// The level of a feature pyramid that each box is pooled from: clamp(floor(log2(sqrt(w * h) / finest_scale + 1e-6)),
// 0, levels - 1) with w = x2 - x1 and h = y2 - y1. rois [K, 5] or boxes [K, 4] -> int64 [K]. A box whose area is
// negative or NaN is given to level 0.
FREQFUSION_API at::Tensor roi_levels(const at::Tensor& rois, int64_t levels, double finest_scale = 56);

// RoIAlign of every box on its own level. `features` finest first, spatial_scales[i] belongs to features[i];
// options.spatial_scale is not read. -> [K, C, out_height, out_width].
FREQFUSION_API at::Tensor roi_extract(const std::vector<at::Tensor>& features, const at::Tensor& rois,
                                      const std::vector<double>& spatial_scales, const RoiAlignOptions& options,
                                      double finest_scale = 56);

// The argument rules, the same for every backend. Throws c10::Error.
void check_roi_extract(at::TensorList features, const at::Tensor& rois, at::ArrayRef<double> spatial_scales,
                       const RoiAlignOptions& options, double finest_scale);

}  // namespace freqfusion
