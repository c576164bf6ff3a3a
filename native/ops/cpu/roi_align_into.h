#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "native/ops/roi_align.h"

namespace freqfusion::cpu {

// Boxes of a pyramid: box k is pooled from features[levels[k]] (from features[0] where `levels` is not defined) at the
// scale of that level. Arguments are checked; `output` has any strides.
void roi_align_into(const at::Tensor& output, const std::vector<at::Tensor>& features,
                    const std::vector<double>& spatial_scales, const at::Tensor& rois, const at::Tensor& levels,
                    const RoiAlignOptions& options);

}  // namespace freqfusion::cpu
