#pragma once

// What the glue of the fused convolutions shares: maps as matrices of pixels, panels as matrices of weights.

#include <ATen/core/Tensor.h>

#include <optional>

#include "native/ops/cuda/pointwise_conv.h"

namespace freqfusion::cuda {

// [N * H * W, C], a view wherever the map's pixels follow each other (cpu::pixel_major), otherwise a copy.
at::Tensor as_pixels(const at::Tensor& map);
// The map [N, C, H, W] in channels-last memory of dense pixels [N * H * W, C], with the sizes of `like`.
at::Tensor as_map(const at::Tensor& pixels, const at::Tensor& like);

// Panels [ceil(out / 16), in, 16] -> [out, in]: a view of those that pack_matrix makes on a GPU.
at::Tensor matrix_of(const at::Tensor& panels, int64_t out);

// What is done to a finished product [pixels, channels]. Undefined maps are left out.
struct Epilogue {
  Activation activation = Activation::none;
  at::Tensor factor, residual;  // from as_pixels
  at::Tensor residual_scale;    // [channels]
};

// act(pixels * weight^T + bias) * factor + residual * residual_scale: libtorch's matrix product, which adds the bias
// itself, and one launch for whatever else there is.
at::Tensor pointwise(const at::Tensor& pixels, const at::Tensor& weight, const at::Tensor& bias,
                     const Epilogue& epilogue);

}  // namespace freqfusion::cuda
