#include "native/ops/nmf.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include "native/ops/check.h"

namespace freqfusion {
namespace {

at::Tensor meta(const at::Tensor& x, const at::Tensor& bases, int64_t steps) {
  check_nmf(x, bases, steps);
  return at::empty_symint(x.sym_sizes(), x.options());
}

}  // namespace

at::Tensor nmf(const at::Tensor& x, const at::Tensor& bases, int64_t steps) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("freqfusion::nmf", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t)>();
  return op.call(x, bases, steps);
}

void check_nmf(const at::Tensor& x, const at::Tensor& bases, int64_t steps) {
  TORCH_CHECK(x.dim() == 3, "expected 3 dimensions [B, N, D] for x, got ", x.dim());
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble,
              "expected float32 or float64 for x, got ", x.scalar_type());
  check_same_kind(x, "x", bases, "bases");
  TORCH_CHECK(bases.dim() == 3, "expected 3 dimensions [B, D, R] for bases, got ", bases.dim());
  check_range(bases.size(2), 1, int64_t{1} << 20, "the rank of bases");
  const c10::SymInt sizes[] = {x.sym_size(0), x.sym_size(2), bases.sym_size(2)};
  check_sizes(bases, sizes, "bases");
  check_range(steps, 0, int64_t{1} << 20, "steps");
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) { m.def("nmf(Tensor x, Tensor bases, int steps) -> Tensor"); }
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) { m.impl("nmf", freqfusion::meta); }
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) { m.impl("nmf", torch::autograd::autogradNotImplementedFallback()); }
