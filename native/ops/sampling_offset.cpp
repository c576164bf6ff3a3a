#include "native/ops/sampling_offset.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/pixel_unshuffle.h>
#include <ATen/ops/sigmoid.h>
#include <torch/library.h>

#include "native/ops/check.h"

namespace freqfusion {
namespace {

using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, bool);

at::Tensor meta(const at::Tensor& hr, const at::Tensor& lr, const at::Tensor& init_pos, bool scaled) {
  check_sampling_offset(hr, lr, init_pos, scaled);
  return at::empty_symint({lr.sym_size(0), init_pos.sym_size(1), lr.sym_size(2), lr.sym_size(3)}, lr.options());
}

// The definition itself, for gradients.
at::Tensor composed(const at::Tensor& hr, const at::Tensor& lr, const at::Tensor& init_pos, bool scaled) {
  check_sampling_offset(hr, lr, init_pos, scaled);
  const at::Tensor both = at::add(at::pixel_unshuffle(hr, 2), lr), start = init_pos.to(hr.scalar_type());
  if (!scaled) return both.mul(0.25).add(start);
  const int64_t channels = init_pos.size(1);
  return both.narrow(1, 0, channels).mul(at::sigmoid(both.narrow(1, channels, channels))).add(start);
}

const c10::TypedOperatorHandle<Signature>& op() {
  static const auto handle =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::sampling_offset", "").typed<Signature>();
  return handle;
}

// Gradients come from the operators of the definition; without them the fused kernel runs.
at::Tensor autograd(const at::Tensor& hr, const at::Tensor& lr, const at::Tensor& init_pos, bool scaled) {
  if (at::GradMode::is_enabled() && (hr.requires_grad() || lr.requires_grad())) {
    return composed(hr, lr, init_pos, scaled);
  }
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  return op().call(hr, lr, init_pos, scaled);
}

}  // namespace

at::Tensor sampling_offset(const at::Tensor& hr, const at::Tensor& lr, const at::Tensor& init_pos, bool scaled) {
  return op().call(hr, lr, init_pos, scaled);
}

void check_sampling_offset(const at::Tensor& hr, const at::Tensor& lr, const at::Tensor& init_pos, bool scaled) {
  check_rank4(hr, "hr", "[N, D, 2h, 2w]");
  check_rank4(lr, "lr", "[N, 4 * D, h, w]");
  check_rank4(init_pos, "init_pos", "[1, 4 * D, 1, 1]");
  check_floating(init_pos, "init_pos");
  TORCH_CHECK(lr.scalar_type() == at::kFloat || lr.scalar_type() == at::kDouble,
              "expected float32 or float64 for lr, got ", lr.scalar_type());
  check_same_kind(lr, "lr", hr, "hr");
  const c10::SymInt channels = init_pos.sym_size(1), parts = scaled ? 2 : 1;
  check_sizes(init_pos, {1, channels, 1, 1}, "init_pos");
  TORCH_CHECK(channels % 4 == 0, "expected a multiple of 4 channels for init_pos, got ", channels);
  check_sizes(lr, {hr.sym_size(0), parts * channels, lr.sym_size(2), lr.sym_size(3)}, "lr");
  check_sizes(hr, {hr.sym_size(0), parts * channels / 4, 2 * lr.sym_size(2), 2 * lr.sym_size(3)}, "hr");
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def("sampling_offset(Tensor hr, Tensor lr, Tensor init_pos, bool scaled=True) -> Tensor");
}
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) { m.impl("sampling_offset", freqfusion::meta); }
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) { m.impl("sampling_offset", freqfusion::autograd); }
