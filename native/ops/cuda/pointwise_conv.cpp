#include "native/ops/pointwise_conv.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <torch/library.h>

#include <optional>

#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/pixels_of.h"
#include "native/ops/cuda/device.h"
#include "native/ops/cuda/pointwise.h"
#include "native/ops/panel_check.h"

namespace freqfusion::cuda {
namespace {

Activation activation_of(std::string_view name) {
  if (name == "gelu") return Activation::gelu;
  return name == "relu" ? Activation::relu : Activation::none;
}

const void* data_of(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }

at::Tensor pixels_or_none(const std::optional<at::Tensor>& map) { return map ? as_pixels(*map) : at::Tensor(); }

at::Tensor vector_of(const std::optional<at::Tensor>& padded, int64_t channels) {
  return padded ? padded->narrow(0, 0, channels).contiguous() : at::Tensor();
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                   int64_t out_channels, std::string_view activation, const std::optional<at::Tensor>& factor,
                   const std::optional<at::Tensor>& residual, const std::optional<at::Tensor>& residual_scale) {
  check_pointwise_conv(x, weight, bias, out_channels, {activation, factor, residual, residual_scale},
                       PanelTypes::floating);
  const OnDevice device(x);
  if (x.numel() == 0) {
    return at::empty({x.size(0), out_channels, x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
  }
  const Epilogue epilogue{activation_of(activation), pixels_or_none(factor), pixels_or_none(residual),
                          vector_of(residual_scale, out_channels)};
  return as_map(pointwise(as_pixels(x), matrix_of(weight, out_channels), vector_of(bias, out_channels), epilogue), x);
}

}  // namespace

at::Tensor as_pixels(const at::Tensor& map) {
  const at::Tensor pixels = cpu::pixel_major(map);
  return pixels.as_strided({map.size(0) * map.size(2) * map.size(3), map.size(1)}, {cpu::pixel_step(pixels), 1});
}

at::Tensor as_map(const at::Tensor& pixels, const at::Tensor& like) {
  return pixels.view({like.size(0), like.size(2), like.size(3), pixels.size(1)}).permute({0, 3, 1, 2});
}

at::Tensor matrix_of(const at::Tensor& panels, int64_t out) {
  return panels.transpose(1, 2).reshape({-1, panels.size(1)}).narrow(0, 0, out);
}

at::Tensor pointwise(const at::Tensor& pixels, const at::Tensor& weight, const at::Tensor& bias,
                     const Epilogue& epilogue) {
  const at::Tensor y = bias.defined() ? at::addmm(bias, pixels, weight.t()) : at::mm(pixels, weight.t());
  if (epilogue.activation == Activation::none && !epilogue.factor.defined() && !epilogue.residual.defined()) return y;
  const OnDevice device(pixels);
  EpilogueArgs args{};
  args.storage = cpu::storage_of(y);
  args.pixels = y.size(0);
  args.channels = y.size(1);
  args.activation = epilogue.activation;
  args.y = y.mutable_data_ptr();
  args.factor = data_of(epilogue.factor);
  args.residual = data_of(epilogue.residual);
  args.factor_pixel = epilogue.factor.defined() ? epilogue.factor.stride(0) : 0;
  args.residual_pixel = epilogue.residual.defined() ? epilogue.residual.stride(0) : 0;
  args.residual_scale = data_of(epilogue.residual_scale);
  check_launch(pointwise_epilogue(args, device.stream()), "pointwise_conv");
  return y;
}

}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) { m.impl("pointwise_conv", freqfusion::cuda::forward); }
