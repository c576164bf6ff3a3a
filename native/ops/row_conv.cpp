#include "native/ops/row_conv.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/convolution_backward.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <array>
#include <optional>

#include "native/ops/accumulator.h"
#include "native/ops/check.h"
#include "native/ops/row_layout.h"

namespace freqfusion {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

at::Tensor call(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                int64_t dilation) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("freqfusion::row_conv", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, int64_t)>();
  return op.call(x, weight, bias, dilation);
}

int64_t padding_of(const at::Tensor& weight, int64_t dilation) { return weight.size(2) / 2 * dilation; }

at::Tensor meta(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                int64_t dilation) {
  check_row_conv(x, weight, bias.value_or(at::Tensor()), dilation);
  const std::array<c10::SymInt, 4> sizes{x.sym_size(0), weight.sym_size(0), x.sym_size(2), x.sym_size(3)};
  return empty_rows_symint(sizes, x.options().dtype(accumulator_type(x.scalar_type())).memory_format(std::nullopt));
}

struct RowConvFunction : torch::autograd::Function<RowConvFunction> {
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& weight,
                          const std::optional<at::Tensor>& bias, int64_t dilation) {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({x, weight});
    context->saved_data["dilation"] = dilation;
    context->saved_data["bias"] = bias ? static_cast<int64_t>(bias->scalar_type()) : int64_t{-1};
    return call(x, weight, bias, dilation);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    if (!grads[0].defined()) return {Variable(), Variable(), Variable(), Variable()};
    const auto saved = context->get_saved_variables();
    const Variable &x = saved[0], &weight = saved[1];
    const int64_t dilation = context->saved_data["dilation"].toInt();
    const int64_t bias_type = context->saved_data["bias"].toInt();
    const int64_t padding = padding_of(weight, dilation);
    const auto type = grads[0].scalar_type();
    auto [to_x, to_weight, to_bias] = at::convolution_backward(
        grads[0], x.to(type), weight.to(type), at::IntArrayRef{weight.size(0)}, at::IntArrayRef{1, 1},
        at::IntArrayRef{padding, padding}, at::IntArrayRef{dilation, dilation}, false, at::IntArrayRef{0, 0}, 1,
        {true, true, bias_type >= 0});
    return {to_x.to(x.scalar_type()), to_weight.to(weight.scalar_type()),
            bias_type >= 0 ? to_bias.to(static_cast<at::ScalarType>(bias_type)) : Variable(), Variable()};
  }
};

at::Tensor autograd(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                    int64_t dilation) {
  return RowConvFunction::apply(x, weight, bias, dilation);
}

}  // namespace

at::Tensor row_conv(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t dilation) {
  return call(x, weight, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt, dilation);
}

void check_row_conv(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t dilation) {
  check_rank4(x, "x", "[N, Ci, H, W]");
  check_floating(x, "x");
  check_rank4(weight, "weight", "[Co, Ci, k, k]");
  check_floating(weight, "weight");
  TORCH_CHECK(weight.sym_size(1) == x.sym_size(1), "expected the channels of x (", x.sym_size(1),
              ") for the second size of weight, got ", weight.sym_size(1));
  TORCH_CHECK(weight.sym_size(2) == weight.sym_size(3), "expected a square kernel for weight, got ", weight.sym_size(2),
              " x ", weight.sym_size(3));
  check_kernel_size(weight.sym_size(2).guard_int(__FILE__, __LINE__));
  check_range(dilation, 1, 64, "dilation");
  TORCH_CHECK(weight.device() == x.device(), "expected the device of x (", x.device(), ") for weight, got ",
              weight.device());
  if (!bias.defined()) return;
  check_floating(bias, "bias");
  check_sizes(bias, {weight.sym_size(0)}, "bias");
  TORCH_CHECK(bias.device() == x.device(), "expected the device of x (", x.device(), ") for bias, got ", bias.device());
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def("row_conv(Tensor x, Tensor weight, Tensor? bias=None, int dilation=1) -> Tensor");
}
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) { m.impl("row_conv", freqfusion::meta); }
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) { m.impl("row_conv", freqfusion::autograd); }
