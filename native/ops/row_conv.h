#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"

namespace freqfusion {

// Convolution of stride 1 that keeps the size (zero padding, odd square kernel): x [N, Ci, H, W] in any layout,
// weight [Co, Ci, k, k], bias [Co] or undefined -> [N, Co, H, W], float32 (float64 for float64 inputs), row by row in
// memory (row_layout.h; contiguous on a GPU). Made for few output channels, where libtorch's convolutions leave most of
// a vector empty. Throws c10::Error for shapes, dtypes or devices that do not fit.
FREQFUSION_API at::Tensor row_conv(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                   int64_t dilation = 1);

// The same checks for every backend.
void check_row_conv(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t dilation);

}  // namespace freqfusion
