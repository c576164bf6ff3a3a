#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

#include "native/ops/export.h"

namespace freqfusion {

// Resamples an already upsampled map at per-pixel offsets, bilinear with a clamped border.
// x [N, C, 2h, 2w], offset [N, 2*groups*4, h, w] in low-resolution pixels, the initial position included,
// channel ((d*groups + g)*2 + i)*2 + j (d 0 = x, 1 = y) -> [N, C, 2h, 2w].
// Output pixel (2y+i, 2x+j) of group g reads x at 2*(x + 0.5 + offset) - 0.5, and the same for y.
FREQFUSION_API at::Tensor offset_sampler(const at::Tensor& x, const at::Tensor& offset, int64_t groups);

// Gradients with respect to (x, offset).
FREQFUSION_API std::tuple<at::Tensor, at::Tensor> offset_sampler_backward(const at::Tensor& grad_output,
                                                                          const at::Tensor& x, const at::Tensor& offset,
                                                                          int64_t groups);

// The same checks for every backend. Throws c10::Error.
void check_offset_sampler(const at::Tensor& x, const at::Tensor& offset, int64_t groups);
void check_offset_sampler_backward(const at::Tensor& grad_output, const at::Tensor& x, const at::Tensor& offset,
                                   int64_t groups);

}  // namespace freqfusion
