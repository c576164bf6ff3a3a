#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"
#include "native/ops/panels.h"

namespace freqfusion {

// The feed-forward half of a transformer-like block with a 3x3 depthwise convolution in it, and its residual:
//   y = x + fc2(gelu(depthwise(fc1(x)))),  gelu exact, zeros around the hidden map.
// The hidden map, four to eight times wider than x, exists only as a few rows in the cache.
struct ConvMlpWeights {
  at::Tensor fc1, fc1_bias;              // pack_matrix [hidden, C], pack_vector
  at::Tensor depthwise, depthwise_bias;  // pack_depthwise [hidden, 1, 3, 3], pack_vector
  at::Tensor fc2, fc2_bias;              // pack_matrix [C, hidden], pack_vector
};

// x [N, C, H, W], best in channels-last memory; float32 or float64 throughout (on a GPU any floating
// dtype). The result lies in channels-last memory.
FREQFUSION_API at::Tensor conv_mlp(const at::Tensor& x, const ConvMlpWeights& weights, int64_t hidden);

// The same checks for every backend. Throws c10::Error.
void check_conv_mlp(const at::Tensor& x, const ConvMlpWeights& weights, int64_t hidden, PanelTypes types);

}  // namespace freqfusion
