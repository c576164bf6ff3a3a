#include "native/ops/pointwise_conv.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>

#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/pixels_of.h"
#include "native/ops/cpu/pointwise_conv_kernels.h"
#include "native/ops/panel_check.h"

namespace freqfusion {
namespace {

cpu::Activation activation_of(std::string_view name) {
  if (name == "gelu") return cpu::Activation::gelu;
  return name == "relu" ? cpu::Activation::relu : cpu::Activation::none;
}

const void* data_of(const std::optional<at::Tensor>& tensor) { return tensor ? tensor->const_data_ptr() : nullptr; }

std::optional<at::Tensor> dense(const std::optional<at::Tensor>& values) {
  if (!values) return std::nullopt;
  return values->contiguous();
}

std::optional<at::Tensor> pixels_of(const std::optional<at::Tensor>& map) {
  if (!map) return std::nullopt;
  return cpu::pixel_major(*map);
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                   int64_t out_channels, std::string_view activation, const std::optional<at::Tensor>& factor,
                   const std::optional<at::Tensor>& residual, const std::optional<at::Tensor>& residual_scale) {
  check_pointwise_conv(x, weight, bias, out_channels, {activation, factor, residual, residual_scale}, PanelTypes::wide);
  at::Tensor output =
      at::empty({x.size(0), out_channels, x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
  if (output.numel() == 0) return output;
  const at::Tensor pixels = cpu::pixel_major(x), panels = weight.contiguous();
  const auto factors = pixels_of(factor), residuals = pixels_of(residual);
  const auto biases = dense(bias), scales = dense(residual_scale);
  cpu::PointwiseConvArgs args{};
  args.storage = cpu::storage_of(x);
  args.x = pixels.const_data_ptr();
  args.weight = panels.const_data_ptr();
  args.bias = data_of(biases);
  args.factor = data_of(factors);
  args.residual = data_of(residuals);
  args.residual_scale = data_of(scales);
  args.output = output.mutable_data_ptr();
  args.x_pixel = cpu::pixel_step(pixels);
  args.factor_pixel = factors ? cpu::pixel_step(*factors) : 0;
  args.residual_pixel = residuals ? cpu::pixel_step(*residuals) : 0;
  args.output_pixel = out_channels;
  args.in = x.size(1);
  args.out = out_channels;
  args.activation = activation_of(activation);
  const auto kernel = FREQFUSION_DISPATCH(pointwise_conv_forward);
  // Whole tiles (24 pixels divide into rows of 6 and 8); a million products are worth a thread.
  constexpr int64_t tile = 24;
  const int64_t count = x.size(0) * x.size(2) * x.size(3), tiles = (count + tile - 1) / tile;
  const int64_t grain = std::max<int64_t>(1, (1 << 20) / (tile * args.in * args.out));
  at::parallel_for(0, tiles, grain,
                   [&](int64_t begin, int64_t end) { kernel(args, begin * tile, std::min(end * tile, count)); });
  return output;
}

}  // namespace
}  // namespace freqfusion

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("pointwise_conv", freqfusion::forward); }
