#include "native/ops/high_pass.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/neg.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <string>

#include "native/ops/carafe_check.h"
#include "native/ops/check.h"

namespace freqfusion {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, int64_t, int64_t, std::string_view, bool);
using OutSignature = at::Tensor&(const at::Tensor&, const at::Tensor&, int64_t, int64_t, std::string_view, bool,
                                 at::Tensor&);

at::Tensor high_pass_meta(const at::Tensor& x, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                          std::string_view border, bool residual) {
  check_carafe(x, masks, {kernel_size, groups, 1, parse_border(border)}, "x");
  return at::empty_symint(x.sym_sizes(), x.options(), x.suggest_memory_format());
}

at::Tensor& high_pass_out_meta(const at::Tensor& x, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                               std::string_view border, bool residual, at::Tensor& out) {
  check_carafe(x, masks, {kernel_size, groups, 1, parse_border(border)}, "x");
  check_output(out, x.sym_sizes(), x, "x");
  return out;
}

// y = own * x - carafe(x, masks), so the gradients are own * G - grad_features(G) and -grad_masks(G).
struct HighPassFunction : torch::autograd::Function<HighPassFunction> {
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& masks,
                          const CarafeOptions& options, bool residual) {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({x, masks});
    context->saved_data["kernel_size"] = options.kernel_size;
    context->saved_data["groups"] = options.groups;
    context->saved_data["border"] = std::string(border_name(options.border));
    context->saved_data["residual"] = residual;
    return high_pass(x, masks, options, residual);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    if (!grads[0].defined()) return {Variable(), Variable(), Variable(), Variable()};
    const auto saved = context->get_saved_variables();
    const CarafeOptions options{context->saved_data["kernel_size"].toInt(), context->saved_data["groups"].toInt(), 1,
                                parse_border(context->saved_data["border"].toStringView())};
    const int64_t own = context->saved_data["residual"].toBool() ? 2 : 1;
    const auto [grad_sum_x, grad_sum_masks] = carafe_backward(grads[0], saved[0], saved[1], options);
    return {at::add(at::neg(grad_sum_x), grads[0], own), at::neg(grad_sum_masks), Variable(), Variable()};
  }
};

at::Tensor high_pass_autograd(const at::Tensor& x, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                              std::string_view border, bool residual) {
  return HighPassFunction::apply(x, masks, CarafeOptions{kernel_size, groups, 1, parse_border(border)}, residual);
}

}  // namespace

at::Tensor high_pass(const at::Tensor& x, const at::Tensor& masks, const CarafeOptions& options, bool residual) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::high_pass", "").typed<Signature>();
  TORCH_CHECK(options.scale == 1, "expected 1 for scale, got ", options.scale);
  return op.call(x, masks, options.kernel_size, options.groups, border_name(options.border), residual);
}

void high_pass_out(const at::Tensor& output, const at::Tensor& x, const at::Tensor& masks, const CarafeOptions& options,
                   bool residual) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::high_pass", "out").typed<OutSignature>();
  TORCH_CHECK(options.scale == 1, "expected 1 for scale, got ", options.scale);
  at::Tensor out = output;
  op.call(x, masks, options.kernel_size, options.groups, border_name(options.border), residual, out);
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "high_pass(Tensor x, Tensor masks, int kernel_size, int groups=1, str border=\"zeros\", bool residual=True) -> "
      "Tensor");
  m.def(
      "high_pass.out(Tensor x, Tensor masks, int kernel_size, int groups=1, str border=\"zeros\", bool residual=True, "
      "*, Tensor(a!) out) -> Tensor(a!)");
}

TORCH_LIBRARY_IMPL(freqfusion, Meta, m) {
  m.impl("high_pass", freqfusion::high_pass_meta);
  m.impl("high_pass.out", freqfusion::high_pass_out_meta);
}

TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("high_pass", freqfusion::high_pass_autograd);
  m.impl("high_pass.out", torch::autograd::autogradNotImplementedFallback());
}

TORCH_LIBRARY_IMPL(freqfusion, ADInplaceOrView, m) {
  m.impl("high_pass.out", torch::autograd::autogradNotImplementedInplaceOrViewFallback());
}
