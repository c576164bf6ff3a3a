#include "native/ops/carafe.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <string>
#include <utility>

#include "native/ops/carafe_check.h"
#include "native/ops/check.h"

namespace freqfusion {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

using ForwardSignature = at::Tensor(const at::Tensor&, const at::Tensor&, int64_t, int64_t, int64_t, std::string_view);
using BackwardSignature = std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                                             int64_t, int64_t, int64_t, std::string_view);

at::Tensor call_forward(const at::Tensor& features, const at::Tensor& masks, const CarafeOptions& options) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::carafe", "").typed<ForwardSignature>();
  return op.call(features, masks, options.kernel_size, options.groups, options.scale, border_name(options.border));
}

std::tuple<at::Tensor, at::Tensor> call_backward(const at::Tensor& grad_output, const at::Tensor& features,
                                                 const at::Tensor& masks, const CarafeOptions& options) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::carafe_backward", "").typed<BackwardSignature>();
  return op.call(grad_output, features, masks, options.kernel_size, options.groups, options.scale,
                 border_name(options.border));
}

// ---- shapes alone ----------------------------------------------------------------------------------------------

at::Tensor carafe_meta(const at::Tensor& features, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                       int64_t scale, std::string_view border) {
  check_carafe(features, masks, {kernel_size, groups, scale, parse_border(border)});
  const auto sizes = carafe_output_sizes(features, scale);
  return at::empty_symint(sizes, features.options(), features.suggest_memory_format());
}

at::Tensor& carafe_out_meta(const at::Tensor& features, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                            int64_t scale, std::string_view border, at::Tensor& out) {
  check_carafe(features, masks, {kernel_size, groups, scale, parse_border(border)});
  check_output(out, carafe_output_sizes(features, scale), features, "features");
  return out;
}

std::tuple<at::Tensor, at::Tensor> carafe_backward_meta(const at::Tensor& grad_output, const at::Tensor& features,
                                                        const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                                                        int64_t scale, std::string_view border) {
  check_carafe(features, masks, {kernel_size, groups, scale, parse_border(border)});
  check_carafe_grad(grad_output, features, scale);
  return {at::empty_symint(features.sym_sizes(), features.options(), features.suggest_memory_format()),
          at::empty_symint(masks.sym_sizes(), masks.options(), masks.suggest_memory_format())};
}

// ---- autograd --------------------------------------------------------------------------------------------------

void save_options(AutogradContext* context, const CarafeOptions& options) {
  context->saved_data["kernel_size"] = options.kernel_size;
  context->saved_data["groups"] = options.groups;
  context->saved_data["scale"] = options.scale;
  context->saved_data["border"] = std::string(border_name(options.border));
}

CarafeOptions saved_options(AutogradContext* context) {
  return {context->saved_data["kernel_size"].toInt(), context->saved_data["groups"].toInt(),
          context->saved_data["scale"].toInt(), parse_border(context->saved_data["border"].toStringView())};
}

at::Tensor sum_of_defined(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? at::add(a, b) : a;
}

struct CarafeFunction : torch::autograd::Function<CarafeFunction> {
  static Variable forward(AutogradContext* context, const Variable& features, const Variable& masks,
                          const CarafeOptions& options) {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({features, masks});
    save_options(context, options);
    return call_forward(features, masks, options);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    if (!grads[0].defined()) return {Variable(), Variable(), Variable()};
    const auto saved = context->get_saved_variables();
    auto [grad_features, grad_masks] = call_backward(grads[0], saved[0], saved[1], saved_options(context));
    return {std::move(grad_features), std::move(grad_masks), Variable()};
  }
};

// carafe is linear in features and in masks, so the derivative of its gradients needs no kernels of its own:
// with U the output's gradient and (P, Q) the cotangents of (grad_features, grad_masks),
//   d/dU = carafe(P, masks) + carafe(features, Q), d/dfeatures = grad_features(U, Q), d/dmasks = grad_masks(U, P).
struct CarafeBackwardFunction : torch::autograd::Function<CarafeBackwardFunction> {
  static variable_list forward(AutogradContext* context, const Variable& grad_output, const Variable& features,
                               const Variable& masks, const CarafeOptions& options) {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({grad_output, features, masks});
    context->set_materialize_grads(false);
    save_options(context, options);
    auto [grad_features, grad_masks] = call_backward(grad_output, features, masks, options);
    return {std::move(grad_features), std::move(grad_masks)};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const CarafeOptions options = saved_options(context);
    const Variable &grad_output = saved[0], &features = saved[1], &masks = saved[2];
    const Variable &for_features = grads[0], &for_masks = grads[1];
    at::Tensor to_grad_output, to_features, to_masks;
    if (for_features.defined()) {
      to_grad_output = call_forward(for_features, masks, options);
      to_masks = std::get<1>(call_backward(grad_output, for_features, masks, options));
    }
    if (for_masks.defined()) {
      to_grad_output = sum_of_defined(to_grad_output, call_forward(features, for_masks, options));
      to_features = std::get<0>(call_backward(grad_output, features, for_masks, options));
    }
    return {to_grad_output, to_features, to_masks, Variable()};
  }
};

at::Tensor carafe_autograd(const at::Tensor& features, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                           int64_t scale, std::string_view border) {
  return CarafeFunction::apply(features, masks, CarafeOptions{kernel_size, groups, scale, parse_border(border)});
}

std::tuple<at::Tensor, at::Tensor> carafe_backward_autograd(const at::Tensor& grad_output, const at::Tensor& features,
                                                            const at::Tensor& masks, int64_t kernel_size,
                                                            int64_t groups, int64_t scale, std::string_view border) {
  const CarafeOptions options{kernel_size, groups, scale, parse_border(border)};
  const variable_list grads = CarafeBackwardFunction::apply(grad_output, features, masks, options);
  return {grads[0], grads[1]};
}

}  // namespace

at::Tensor carafe(const at::Tensor& features, const at::Tensor& masks, const CarafeOptions& options) {
  return call_forward(features, masks, options);
}

std::tuple<at::Tensor, at::Tensor> carafe_backward(const at::Tensor& grad_output, const at::Tensor& features,
                                                   const at::Tensor& masks, const CarafeOptions& options) {
  return call_backward(grad_output, features, masks, options);
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "carafe(Tensor features, Tensor masks, int kernel_size, int groups=1, int scale=2, str border=\"zeros\") -> "
      "Tensor");
  m.def(
      "carafe.out(Tensor features, Tensor masks, int kernel_size, int groups=1, int scale=2, str border=\"zeros\", *, "
      "Tensor(a!) out) -> Tensor(a!)");
  m.def(
      "carafe_backward(Tensor grad_output, Tensor features, Tensor masks, int kernel_size, int groups, int scale, "
      "str border) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(freqfusion, Meta, m) {
  m.impl("carafe", freqfusion::carafe_meta);
  m.impl("carafe.out", freqfusion::carafe_out_meta);
  m.impl("carafe_backward", freqfusion::carafe_backward_meta);
}

TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("carafe", freqfusion::carafe_autograd);
  m.impl("carafe.out", torch::autograd::autogradNotImplementedFallback());
  m.impl("carafe_backward", freqfusion::carafe_backward_autograd);
}

TORCH_LIBRARY_IMPL(freqfusion, ADInplaceOrView, m) {
  m.impl("carafe.out", torch::autograd::autogradNotImplementedInplaceOrViewFallback());
}
