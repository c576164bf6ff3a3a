#include "native/ops/group_norm.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "native/ops/accumulator.h"
#include "native/ops/check.h"

namespace freqfusion {
namespace {

using Signature = at::Tensor&(const at::Tensor&, int64_t, const at::Tensor&, const at::Tensor&, double, at::Tensor&);

at::Tensor& meta(const at::Tensor& x, int64_t groups, const at::Tensor& weight, const at::Tensor& bias, double,
                 at::Tensor& out) {
  check_group_norm(out, x, groups, weight, bias, true);
  return out;
}

}  // namespace

void group_norm_out(const at::Tensor& output, const at::Tensor& x, int64_t groups, const at::Tensor& weight,
                    const at::Tensor& bias, double eps) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::group_norm", "out").typed<Signature>();
  at::Tensor out = output;
  op.call(x, groups, weight, bias, eps, out);
}

void check_group_norm(const at::Tensor& output, const at::Tensor& x, int64_t groups, const at::Tensor& weight,
                      const at::Tensor& bias, bool keeps_type) {
  check_rank4(x, "x", "[N, C, H, W]");
  check_floating(x, "x");
  TORCH_CHECK(groups >= 1 && x.sym_size(1) % groups == 0, "expected a divisor of the ", x.sym_size(1),
              " channels of x for groups, got ", groups);
  check_floating(weight, "weight");
  check_floating(bias, "bias");
  check_sizes(weight, {x.sym_size(1)}, "weight");
  check_sizes(bias, {x.sym_size(1)}, "bias");
  check_sizes(output, x.sym_sizes(), "out");
  const auto type = accumulator_type(x.scalar_type());
  TORCH_CHECK(output.scalar_type() == type || (keeps_type && output.scalar_type() == x.scalar_type()), "expected ",
              type, " for out, got ", output.scalar_type());
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "group_norm.out(Tensor x, int groups, Tensor weight, Tensor bias, float eps=1e-5, *, Tensor(a!) out) -> "
      "Tensor(a!)");
}
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) { m.impl("group_norm.out", freqfusion::meta); }
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("group_norm.out", torch::autograd::autogradNotImplementedFallback());
}
TORCH_LIBRARY_IMPL(freqfusion, ADInplaceOrView, m) {
  m.impl("group_norm.out", torch::autograd::autogradNotImplementedInplaceOrViewFallback());
}
