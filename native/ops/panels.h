#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"

namespace freqfusion {

// How the fused convolutions take their weights: outputs in panels of 16, zeros where the last one is not full.
// Made once when weights are loaded. Any floating dtype; the result has it too. On a GPU, which multiplies whole
// matrices, pack_matrix gives the same panels as views of [ceil(out / 16) * 16, in].
constexpr int64_t kPanelOutputs = 16;

// The dtypes that an operator with weights in panels takes (panel_check.h).
enum class PanelTypes;

// [out, in] or [out, in, 1, 1] -> [ceil(out / 16), in, 16].
FREQFUSION_API at::Tensor pack_matrix(const at::Tensor& weight);
// [channels, 1, kh, kw] (depthwise) -> [ceil(channels / 16), kh * kw, 16].
FREQFUSION_API at::Tensor pack_depthwise(const at::Tensor& weight);
// [channels] -> [ceil(channels / 16) * 16].
FREQFUSION_API at::Tensor pack_vector(const at::Tensor& values);

inline int64_t panels_of(int64_t channels) { return (channels + kPanelOutputs - 1) / kPanelOutputs; }

}  // namespace freqfusion
