#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"
#include "native/ops/panels.h"

namespace freqfusion {

// The depthwise convolutions of MSCAN's multi-scale convolutional attention (SegNeXt, NeurIPS 2022), and their sum:
//   a = conv5x5(x);  y = a + sum over k in {7, 11, 21} of conv_kx1(conv_1xk(a)),  zeros around every map.
// x [N, C, H, W], best in channels-last memory; float32 or float64 throughout (on a GPU any floating
// dtype). The result lies in channels-last memory.
// weight [panels, 103, 16] (panels of 16 channels, pack_depthwise): the 25 taps of 5x5, then 1x7, 7x1, 1x11, 11x1,
// 1x21 and 21x1. bias [panels, 7, 16] in the same order.
FREQFUSION_API at::Tensor strip_convs(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// The same checks for every backend. Throws c10::Error.
void check_strip_convs(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, PanelTypes types);

}  // namespace freqfusion
