#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

#include "native/ops/border.h"
#include "native/ops/export.h"

namespace freqfusion {

struct CarafeOptions {
  int64_t kernel_size = 5;  // odd, 1..31
  int64_t groups = 1;       // divides the channels
  int64_t scale = 2;        // 1..4
  Border border = Border::zeros;
};

// Content-aware reassembly (CARAFE, ICCV 2019).
// features [N, C, h, w], masks [N, groups*k*k, scale*h, scale*w] -> [N, C, scale*h, scale*w].
// Mask channels are group-major, then kernel row, then kernel column; the kernel is centred on the source
// pixel that contains the output pixel.
FREQFUSION_API at::Tensor carafe(const at::Tensor& features, const at::Tensor& masks, const CarafeOptions& options);

// Gradients of carafe with respect to (features, masks).
FREQFUSION_API std::tuple<at::Tensor, at::Tensor> carafe_backward(const at::Tensor& grad_output,
                                                                  const at::Tensor& features, const at::Tensor& masks,
                                                                  const CarafeOptions& options);

}  // namespace freqfusion
