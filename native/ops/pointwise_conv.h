#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

#include "native/ops/export.h"
#include "native/ops/panels.h"

namespace freqfusion {

// A 1x1 convolution with all that follows it, in one pass over memory:
//   y = act(W x + bias) * factor + residual * residual_scale
// x [N, in, H, W], best in channels-last memory; weight in panels (pack_matrix); bias and residual_scale [panels * 16]
// (pack_vector); factor and residual [N, out, H, W]. activation: "none", "relu" or "gelu" (exact). float32 or
// float64 throughout, on a GPU any floating dtype. The result lies in channels-last memory.
struct PointwiseConvExtras {
  std::string_view activation = "none";
  std::optional<at::Tensor> factor = std::nullopt, residual = std::nullopt;
  std::optional<at::Tensor> residual_scale = std::nullopt;  // a residual without a scale is added as it is
};
FREQFUSION_API at::Tensor pointwise_conv(const at::Tensor& x, const at::Tensor& weight,
                                         const std::optional<at::Tensor>& bias, int64_t out_channels,
                                         const PointwiseConvExtras& extras = {});

// The same checks for every backend. Throws c10::Error.
void check_pointwise_conv(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                          int64_t out_channels, const PointwiseConvExtras& extras, PanelTypes types);

}  // namespace freqfusion
