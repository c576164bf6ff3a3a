#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"

namespace freqfusion {

// Group normalisation of x [N, C, H, W] (any layout), written into `output` of the same sizes: float32 (float64 for
// float64; on a GPU x's own dtype too), any strides, no memory shared with x. weight and bias [C] of any floating
// dtype. No gradients.
FREQFUSION_API void group_norm_out(const at::Tensor& output, const at::Tensor& x, int64_t groups,
                                   const at::Tensor& weight, const at::Tensor& bias, double eps);

// The same checks for every backend. `keeps_type`: the output may have the dtype of a 16-bit x.
void check_group_norm(const at::Tensor& output, const at::Tensor& x, int64_t groups, const at::Tensor& weight,
                      const at::Tensor& bias, bool keeps_type = false);

}  // namespace freqfusion
