#include "native/ops/row_conv.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>
#include <torch/version.h>

#include <optional>

#include "native/ops/accumulator.h"
#include "native/ops/cuda/device.h"

// On a GPU the result is a contiguous map: what reads it does so with neighbouring threads on neighbouring columns. It
// is libtorch's own convolution, in float32 for 16-bit maps: TF32 keeps all digits of a 16-bit factor, and libtorch
// uses it unless it is told not to (allowTF32CuDNN). Kernels of one tap on a 16-bit map are a matrix product on tensor
// cores with float32 results, whatever the layout of the map: neither the map nor its result is copied.

namespace freqfusion::cuda {
namespace {

// [N, Co, H * W] in float32 (float64) from weights [Co, Ci] and a map [N, Ci, H * W] of the same dtype.
at::Tensor product(const at::Tensor& weight, const at::Tensor& pixels) {
  const at::Tensor weights = weight.expand({pixels.size(0), -1, -1});
  const auto type = accumulator_type(pixels.scalar_type());
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 8
  if (pixels.is_cuda() && type != pixels.scalar_type()) return at::bmm(weights, pixels, type);
#endif
  return at::bmm(weights.to(type), pixels.to(type));
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                   int64_t dilation) {
  check_row_conv(x, weight, bias.value_or(at::Tensor()), dilation);
  const OnDevice device(x);
  const auto type = accumulator_type(x.scalar_type());
  if (x.size(0) * x.size(2) * x.size(3) == 0) {
    return at::empty({x.size(0), weight.size(0), x.size(2), x.size(3)}, x.options().dtype(type));
  }
  const std::optional<at::Tensor> offsets = bias ? std::optional<at::Tensor>(bias->to(type)) : std::nullopt;
  if (weight.size(2) == 1 && x.scalar_type() != type) {
    const at::Tensor sums = product(weight.to(x.scalar_type()).flatten(1), x.flatten(2));
    if (offsets) sums.add_(offsets->view({-1, 1}));
    return sums.unflatten(2, {x.size(2), x.size(3)});
  }
  const int64_t padding = weight.size(2) / 2 * dilation;
  return at::conv2d(x.to(type), weight.to(type), offsets, 1, padding, dilation).contiguous();
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) { m.impl("row_conv", freqfusion::cuda::forward); }
