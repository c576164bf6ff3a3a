#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <string_view>

#include "native/ops/export.h"

namespace freqfusion {

enum class Similarity { cosine, dot };

// Throws c10::Error for any other name.
FREQFUSION_API Similarity parse_similarity(std::string_view name);
FREQFUSION_API const char* similarity_name(Similarity similarity);

// Similarity of every pixel's feature vector with those of its dilated k x k window, the centre left out.
// x [N, C, H, W] -> [N, k*k - 1, H, W], taps in row-major order; taps outside the map give 0.
FREQFUSION_API at::Tensor local_similarity(const at::Tensor& x, int64_t kernel_size, int64_t dilation,
                                           Similarity similarity);

// The same, written into `output`: any strides, no memory shared with the inputs. No gradients.
FREQFUSION_API void local_similarity_out(const at::Tensor& output, const at::Tensor& x, int64_t kernel_size,
                                         int64_t dilation, Similarity similarity);

FREQFUSION_API at::Tensor local_similarity_backward(const at::Tensor& grad_output, const at::Tensor& x,
                                                    int64_t kernel_size, int64_t dilation, Similarity similarity);

// The same checks for every backend: k odd, dilation at least 1. Throws c10::Error.
void check_local_similarity(const at::Tensor& x, int64_t kernel_size, int64_t dilation);
void check_local_similarity_backward(const at::Tensor& grad_output, const at::Tensor& x, int64_t kernel_size,
                                     int64_t dilation);

// The shape [N, k*k - 1, H, W] of the output, and an output in x's memory format, not yet filled.
std::array<c10::SymInt, 4> local_similarity_sizes(const at::Tensor& x, int64_t kernel_size);
at::Tensor empty_local_similarity(const at::Tensor& x, int64_t kernel_size);

}  // namespace freqfusion
