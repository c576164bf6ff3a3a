#include "native/ops/conv_mlp.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "native/ops/cpu/map_of.h"
#include "native/ops/cuda/depthwise.h"
#include "native/ops/cuda/device.h"
#include "native/ops/cuda/pointwise.h"
#include "native/ops/panel_check.h"

namespace freqfusion::cuda {
namespace {

// Four launches: a matrix product with its bias, the depthwise convolution with gelu, a matrix product, the residual.
at::Tensor forward(const at::Tensor& x, const at::Tensor& fc1, const at::Tensor& fc1_bias, const at::Tensor& depthwise,
                   const at::Tensor& depthwise_bias, const at::Tensor& fc2, const at::Tensor& fc2_bias,
                   int64_t hidden) {
  check_conv_mlp(x, {fc1, fc1_bias, depthwise, depthwise_bias, fc2, fc2_bias}, hidden, PanelTypes::floating);
  const OnDevice device(x);
  if (x.numel() == 0) return at::empty(x.sizes(), x.options(), at::MemoryFormat::ChannelsLast);
  const int64_t channels = x.size(1);
  const at::Tensor pixels = as_pixels(x);
  const at::Tensor grown =
      as_map(pointwise(pixels, matrix_of(fc1, hidden), fc1_bias.narrow(0, 0, hidden).contiguous(), {}), x);
  const at::Tensor mixed = at::empty(grown.sizes(), grown.options(), at::MemoryFormat::ChannelsLast);
  const at::Tensor weights = depthwise.contiguous(), biases = depthwise_bias.contiguous();
  DepthwiseArgs args{};
  args.storage = cpu::storage_of(x);
  args.batch = x.size(0);
  args.channels = hidden;
  args.height = x.size(2);
  args.width = x.size(3);
  args.weight = weights.const_data_ptr();
  args.bias = biases.const_data_ptr();
  args.taps = weights.size(1);
  args.biases = 1;
  args.x = cpu::map_of(grown);
  args.output = cpu::map_of(mixed);
  check_launch(depthwise_gelu(args, device.stream()), "conv_mlp");
  Epilogue residual;
  residual.residual = pixels;
  return as_map(
      pointwise(as_pixels(mixed), matrix_of(fc2, channels), fc2_bias.narrow(0, 0, channels).contiguous(), residual), x);
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) { m.impl("conv_mlp", freqfusion::cuda::forward); }
