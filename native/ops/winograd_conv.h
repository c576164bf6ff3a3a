#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

#include "native/ops/export.h"

namespace freqfusion {

// A 3x3 convolution of stride 1 and padding 1 with a quarter of the multiplications ("Fast Algorithms for
// Convolutional Neural Networks", CVPR 2016), and what follows it in the same pass:
//   y = act(conv(x) + bias + residual)
// x [N, in, H, W] float32, best in channels-last memory; weight from winograd_weight; bias [out]; residual [N, out, H,
// W]. activation: "none" or "relu". The result lies in channels-last memory. Its rounding errors are no larger than
// those of a direct sum; an infinite input makes its surroundings of up to 6 x 6 pixels NaN.
// Throws c10::Error for arguments that do not fit.
FREQFUSION_API at::Tensor winograd_conv(const at::Tensor& x, const at::Tensor& weight,
                                        const std::optional<at::Tensor>& bias, int64_t out_channels,
                                        std::string_view activation = "none",
                                        const std::optional<at::Tensor>& residual = std::nullopt);
// The same, written into `output`, which may be the residual: channels-last memory, no memory shared with x.
FREQFUSION_API void winograd_conv_out(const at::Tensor& output, const at::Tensor& x, const at::Tensor& weight,
                                      const std::optional<at::Tensor>& bias, std::string_view activation = "none",
                                      const std::optional<at::Tensor>& residual = std::nullopt);

// [out, in, 3, 3] of any floating dtype -> [36, ceil(out / 16), in, 16] float32, transformed in double precision.
FREQFUSION_API at::Tensor winograd_weight(const at::Tensor& weight);

// Whether it is faster than libtorch's own convolution on this machine: with the baseline instruction set it is not.
FREQFUSION_API bool winograd_conv_pays();

// The same checks for every backend.
void check_winograd_conv(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                         int64_t out_channels, std::string_view activation, const std::optional<at::Tensor>& residual);

}  // namespace freqfusion
