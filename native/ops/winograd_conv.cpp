#include "native/ops/winograd_conv.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <algorithm>
#include <array>

#include "native/ops/check.h"
#include "native/ops/panels.h"

namespace freqfusion {
namespace {

at::Tensor meta(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                int64_t out_channels, std::string_view activation, const std::optional<at::Tensor>& residual) {
  check_winograd_conv(x, weight, bias, out_channels, activation, residual);
  return at::empty_symint({x.sym_size(0), out_channels, x.sym_size(2), x.sym_size(3)}, x.options(),
                          at::MemoryFormat::ChannelsLast);
}

void check_weight(const at::Tensor& weight) {
  TORCH_CHECK(weight.dim() == 4 && weight.sym_size(2) == 3 && weight.sym_size(3) == 3,
              "expected shape [out, in, 3, 3] for weight, got ", weight.sym_sizes());
}

at::Tensor weight_meta(const at::Tensor& weight) {
  check_weight(weight);
  const c10::SymInt panels = (weight.sym_size(0) + (kPanelOutputs - 1)) / kPanelOutputs;
  return at::empty_symint({36, panels, weight.sym_size(1), kPanelOutputs}, weight.options().dtype(at::kFloat));
}

// The weights' values at the points 0, +-2/3, +-3/2 and infinity, each divided by the product of its differences from
// the others.
at::Tensor evaluation() {
  constexpr std::array<double, 5> points = {0, 2.0 / 3, -2.0 / 3, 3.0 / 2, -3.0 / 2};
  at::Tensor matrix = at::empty({6, 3}, at::TensorOptions().dtype(at::kDouble));
  double* row = matrix.mutable_data_ptr<double>();
  for (const double point : points) {
    double divisor = 1;
    for (const double other : points) divisor *= other == point ? 1 : point - other;
    *row++ = 1 / divisor;
    *row++ = point / divisor;
    *row++ = point * point / divisor;
  }
  *row++ = 0;
  *row++ = 0;
  *row++ = 1;
  return matrix;
}

}  // namespace

at::Tensor winograd_conv(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                         int64_t out_channels, std::string_view activation, const std::optional<at::Tensor>& residual) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("freqfusion::winograd_conv", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                               int64_t, std::string_view, const std::optional<at::Tensor>&)>();
  return op.call(x, weight, bias, out_channels, activation, residual);
}

at::Tensor winograd_weight(const at::Tensor& weight) {
  check_weight(weight);
  const int64_t out = weight.size(0), in = weight.size(1), panels = panels_of(out);
  const at::Tensor at_points = evaluation().to(weight.device());
  at::Tensor packed = at::empty({36, panels, in, kPanelOutputs}, weight.options().dtype(at::kFloat));
  // Panel by panel: in double precision the whole would take many times the memory of the weights.
  for (int64_t p = 0; p < panels; ++p) {
    const int64_t first = p * kPanelOutputs, count = std::min(kPanelOutputs, out - first);
    const at::Tensor some = weight.narrow(0, first, count).to(at::kDouble);
    const at::Tensor values = at::matmul(at::matmul(at_points, some), at_points.t());
    const at::Tensor panel = packed.select(1, p);
    panel.narrow(2, 0, count).copy_(values.view({count, in, 36}).permute({2, 1, 0}));
    if (count < kPanelOutputs) panel.narrow(2, count, kPanelOutputs - count).zero_();
  }
  return packed;
}

void check_winograd_conv(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                         int64_t out_channels, std::string_view activation, const std::optional<at::Tensor>& residual) {
  TORCH_CHECK(x.dim() == 4, "expected 4 dimensions [N, C, H, W] for x, got ", x.dim());
  TORCH_CHECK(x.scalar_type() == at::kFloat, "expected float32 for x, got ", x.scalar_type());
  TORCH_CHECK(out_channels >= 1, "expected an integer from 1 for out_channels, got ", out_channels);
  TORCH_CHECK(x.sym_size(1) >= 1, "expected channels for x, got ", x.sym_sizes());
  check_same_kind(x, "x", weight, "weight");
  const c10::SymInt packed[] = {36, panels_of(out_channels), x.sym_size(1), kPanelOutputs};
  check_sizes(weight, packed, "weight");
  if (bias) {
    check_same_kind(x, "x", *bias, "bias");
    const c10::SymInt outputs[] = {out_channels};
    check_sizes(*bias, outputs, "bias");
  }
  TORCH_CHECK(activation == "none" || activation == "relu", "expected none or relu for activation, got ", activation);
  if (residual) {
    check_same_kind(x, "x", *residual, "residual");
    const c10::SymInt sizes[] = {x.sym_size(0), out_channels, x.sym_size(2), x.sym_size(3)};
    check_sizes(*residual, sizes, "residual");
  }
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "winograd_conv(Tensor x, Tensor weight, Tensor? bias, int out_channels, str activation='none', Tensor? "
      "residual=None) -> Tensor");
  m.def("winograd_weight(Tensor weight) -> Tensor");
}
TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("winograd_weight", freqfusion::winograd_weight); }
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) {
  m.impl("winograd_conv", freqfusion::meta);
  m.impl("winograd_weight", freqfusion::weight_meta);
}
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("winograd_weight", torch::autograd::autogradNotImplementedFallback());
  m.impl("winograd_conv", torch::autograd::autogradNotImplementedFallback());
}
