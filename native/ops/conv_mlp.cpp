#include "native/ops/conv_mlp.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "native/ops/panel_check.h"

namespace freqfusion {
namespace {

at::Tensor meta(const at::Tensor& x, const at::Tensor& fc1, const at::Tensor& fc1_bias, const at::Tensor& depthwise,
                const at::Tensor& depthwise_bias, const at::Tensor& fc2, const at::Tensor& fc2_bias, int64_t hidden) {
  check_conv_mlp(x, {fc1, fc1_bias, depthwise, depthwise_bias, fc2, fc2_bias}, hidden, PanelTypes::floating);
  return at::empty_symint(x.sym_sizes(), x.options(), at::MemoryFormat::ChannelsLast);
}

}  // namespace

at::Tensor conv_mlp(const at::Tensor& x, const ConvMlpWeights& weights, int64_t hidden) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("freqfusion::conv_mlp", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                            const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t)>();
  return op.call(x, weights.fc1, weights.fc1_bias, weights.depthwise, weights.depthwise_bias, weights.fc2,
                 weights.fc2_bias, hidden);
}

void check_conv_mlp(const at::Tensor& x, const ConvMlpWeights& weights, int64_t hidden, PanelTypes types) {
  check_panel_input(x, "x", types);
  check_range(hidden, 1, int64_t{1} << 30, "hidden");
  const int64_t channels = x.size(1);
  check_panels(x, weights.fc1, "fc1", hidden, channels);
  check_panel_vector(x, weights.fc1_bias, "fc1_bias", hidden);
  check_panels(x, weights.depthwise, "depthwise", hidden, 9);
  check_panel_vector(x, weights.depthwise_bias, "depthwise_bias", hidden);
  check_panels(x, weights.fc2, "fc2", channels, hidden);
  check_panel_vector(x, weights.fc2_bias, "fc2_bias", channels);
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "conv_mlp(Tensor x, Tensor fc1, Tensor fc1_bias, Tensor depthwise, Tensor depthwise_bias, Tensor fc2, Tensor "
      "fc2_bias, int hidden) -> Tensor");
}
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) { m.impl("conv_mlp", freqfusion::meta); }
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) { m.impl("conv_mlp", torch::autograd::autogradNotImplementedFallback()); }
