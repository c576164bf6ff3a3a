#include "native/ops/strip_convs.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "native/ops/panel_check.h"

namespace freqfusion {
namespace {

at::Tensor meta(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  check_strip_convs(x, weight, bias, PanelTypes::floating);
  return at::empty_symint(x.sym_sizes(), x.options(), at::MemoryFormat::ChannelsLast);
}

}  // namespace

at::Tensor strip_convs(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("freqfusion::strip_convs", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>();
  return op.call(x, weight, bias);
}

void check_strip_convs(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, PanelTypes types) {
  check_panel_input(x, "x", types);
  check_panels(x, weight, "weight", x.size(1), 103);
  check_panels(x, bias, "bias", x.size(1), 7);
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) { m.def("strip_convs(Tensor x, Tensor weight, Tensor bias) -> Tensor"); }
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) { m.impl("strip_convs", freqfusion::meta); }
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("strip_convs", torch::autograd::autogradNotImplementedFallback());
}
