#include "native/ops/pointwise_conv.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "native/ops/panel_check.h"

namespace freqfusion {
namespace {

at::Tensor meta(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                int64_t out_channels, std::string_view activation, const std::optional<at::Tensor>& factor,
                const std::optional<at::Tensor>& residual, const std::optional<at::Tensor>& residual_scale) {
  check_pointwise_conv(x, weight, bias, out_channels, {activation, factor, residual, residual_scale},
                       PanelTypes::floating);
  return at::empty_symint({x.sym_size(0), out_channels, x.sym_size(2), x.sym_size(3)}, x.options(),
                          at::MemoryFormat::ChannelsLast);
}

}  // namespace

at::Tensor pointwise_conv(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                          int64_t out_channels, const PointwiseConvExtras& extras) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("freqfusion::pointwise_conv", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                               int64_t, std::string_view, const std::optional<at::Tensor>&,
                                               const std::optional<at::Tensor>&, const std::optional<at::Tensor>&)>();
  return op.call(x, weight, bias, out_channels, extras.activation, extras.factor, extras.residual,
                 extras.residual_scale);
}

void check_pointwise_conv(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                          int64_t out_channels, const PointwiseConvExtras& extras, PanelTypes types) {
  check_panel_input(x, "x", types);
  check_range(out_channels, 1, int64_t{1} << 30, "out_channels");
  check_panels(x, weight, "weight", out_channels, x.sym_size(1));
  if (bias) check_panel_vector(x, *bias, "bias", out_channels);
  TORCH_CHECK(extras.activation == "none" || extras.activation == "relu" || extras.activation == "gelu",
              "expected none, relu or gelu for activation, got ", extras.activation);
  const c10::SymInt sizes[] = {x.sym_size(0), out_channels, x.sym_size(2), x.sym_size(3)};
  for (const auto& [map, name] : {std::pair{&extras.factor, "factor"}, std::pair{&extras.residual, "residual"}}) {
    if (!*map) continue;
    check_same_kind(x, "x", **map, name);
    check_sizes(**map, sizes, name);
  }
  TORCH_CHECK(!extras.residual_scale || extras.residual, "expected a residual for residual_scale, got none");
  if (extras.residual_scale) check_panel_vector(x, *extras.residual_scale, "residual_scale", out_channels);
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "pointwise_conv(Tensor x, Tensor weight, Tensor? bias, int out_channels, str activation='none', Tensor? "
      "factor=None, Tensor? residual=None, Tensor? residual_scale=None) -> Tensor");
}
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) { m.impl("pointwise_conv", freqfusion::meta); }
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("pointwise_conv", torch::autograd::autogradNotImplementedFallback());
}
