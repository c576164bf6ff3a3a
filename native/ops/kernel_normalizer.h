#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"

namespace freqfusion {

// Per pixel and group: softmax over the k*k taps, times the window, divided by the sum over the taps.
// logits [N, groups*k*k, H, W] -> the same shape. hamming: the outer product of two Hamming windows; otherwise
// the window is 1.
FREQFUSION_API at::Tensor kernel_normalizer(const at::Tensor& logits, int64_t kernel_size, bool hamming,
                                            int64_t groups);

// Gradient with respect to logits; `output` is what kernel_normalizer returned for them.
FREQFUSION_API at::Tensor kernel_normalizer_backward(const at::Tensor& grad_output, const at::Tensor& output,
                                                     int64_t kernel_size, int64_t groups);

// The same checks for every backend: k odd in 1..31, groups * k * k channels. Throws c10::Error.
void check_kernel_normalizer(const at::Tensor& logits, int64_t kernel_size, int64_t groups);
void check_kernel_normalizer_backward(const at::Tensor& grad_output, const at::Tensor& output, int64_t kernel_size,
                                      int64_t groups);

// One side of the window: 0.54 - 0.46 cos(2 pi i / (k - 1)).
double hamming_weight(int64_t i, int64_t kernel_size);

// The [1, 1, k, k] float32 window, computed in double: the outer product of its side with itself.
FREQFUSION_API at::Tensor hamming_window(int64_t kernel_size);

}  // namespace freqfusion
