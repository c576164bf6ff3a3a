#include "native/ops/strip_convs.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/pixels_of.h"
#include "native/ops/cuda/depthwise.h"
#include "native/ops/cuda/device.h"
#include "native/ops/panel_check.h"

namespace freqfusion::cuda {
namespace {

at::Tensor forward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  check_strip_convs(x, weight, bias, PanelTypes::floating);
  const OnDevice device(x);
  const auto like_x = [&] { return at::empty(x.sizes(), x.options(), at::MemoryFormat::ChannelsLast); };
  const at::Tensor output = like_x();
  if (output.numel() == 0) return output;
  const at::Tensor pixels = cpu::pixel_major(x), weights = weight.contiguous(), biases = bias.contiguous();
  const at::Tensor square = like_x(), strips[] = {like_x(), like_x(), like_x()};
  DepthwiseArgs args{};
  args.storage = cpu::storage_of(x);
  args.batch = x.size(0);
  args.channels = x.size(1);
  args.height = x.size(2);
  args.width = x.size(3);
  args.weight = weights.const_data_ptr();
  args.bias = biases.const_data_ptr();
  args.taps = weight.size(1);
  args.biases = bias.size(1);
  args.x = cpu::map_of(pixels);
  args.output = cpu::map_of(square);
  check_launch(strips_square(args, device.stream()), "strip_convs");
  args.x = args.output;
  for (int i = 0; i < 3; ++i) args.strips[i] = cpu::map_of(strips[i]);
  check_launch(strips_horizontal(args, device.stream()), "strip_convs");
  args.output = cpu::map_of(output);
  check_launch(strips_vertical(args, device.stream()), "strip_convs");
  return output;
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) { m.impl("strip_convs", freqfusion::cuda::forward); }
