#include "native/ops/kernel_normalizer.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cmath>

#include "native/ops/check.h"

namespace freqfusion {
namespace {

at::Tensor forward_meta(const at::Tensor& logits, int64_t kernel_size, bool hamming, int64_t groups) {
  check_kernel_normalizer(logits, kernel_size, groups);
  return at::empty_like(logits);
}

at::Tensor& out_meta(const at::Tensor& logits, int64_t kernel_size, bool hamming, int64_t groups, at::Tensor& out) {
  check_kernel_normalizer(logits, kernel_size, groups);
  check_output(out, logits.sym_sizes(), logits, "logits");
  return out;
}

at::Tensor backward_meta(const at::Tensor& grad_output, const at::Tensor& output, int64_t kernel_size, int64_t groups) {
  check_kernel_normalizer_backward(grad_output, output, kernel_size, groups);
  return at::empty_like(output);
}

// The gradient needs the output alone, so the logits are not kept alive.
class Formula : public torch::autograd::Function<Formula> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& logits, int64_t kernel_size,
                            bool hamming, int64_t groups) {
    at::AutoDispatchBelowADInplaceOrView below;
    auto output = kernel_normalizer(logits, kernel_size, hamming, groups);
    context->save_for_backward({output});
    context->saved_data["kernel_size"] = kernel_size;
    context->saved_data["groups"] = groups;
    return output;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grad_outputs) {
    const auto output = context->get_saved_variables()[0];
    auto grad_logits = kernel_normalizer_backward(grad_outputs[0], output, context->saved_data["kernel_size"].toInt(),
                                                  context->saved_data["groups"].toInt());
    return {grad_logits, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor forward_autograd(const at::Tensor& logits, int64_t kernel_size, bool hamming, int64_t groups) {
  return Formula::apply(logits, kernel_size, hamming, groups);
}

}  // namespace

at::Tensor kernel_normalizer(const at::Tensor& logits, int64_t kernel_size, bool hamming, int64_t groups) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("freqfusion::kernel_normalizer", "")
                             .typed<at::Tensor(const at::Tensor&, int64_t, bool, int64_t)>();
  return op.call(logits, kernel_size, hamming, groups);
}

at::Tensor kernel_normalizer_backward(const at::Tensor& grad_output, const at::Tensor& output, int64_t kernel_size,
                                      int64_t groups) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("freqfusion::kernel_normalizer_backward", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t, int64_t)>();
  return op.call(grad_output, output, kernel_size, groups);
}

void check_kernel_normalizer(const at::Tensor& logits, int64_t kernel_size, int64_t groups) {
  check_rank4(logits, "logits", "[N, groups*k*k, H, W]");
  check_floating(logits, "logits");
  check_kernel_size(kernel_size);
  TORCH_CHECK(groups >= 1, "expected at least 1 for groups, got ", groups);
  TORCH_CHECK(logits.sym_size(1) % (kernel_size * kernel_size) == 0 &&
                  logits.sym_size(1) / (kernel_size * kernel_size) == groups,
              "expected groups * kernel_size * kernel_size channels (", groups, " * ", kernel_size, " * ", kernel_size,
              ") for logits, got ", logits.sym_size(1));
}

void check_kernel_normalizer_backward(const at::Tensor& grad_output, const at::Tensor& output, int64_t kernel_size,
                                      int64_t groups) {
  check_kernel_normalizer(output, kernel_size, groups);
  check_same_kind(output, "output", grad_output, "grad_output");
  check_sizes(grad_output, output.sym_sizes(), "grad_output");
}

double hamming_weight(int64_t i, int64_t kernel_size) {
  // One tap alone has the weight 1, as in numpy.
  return kernel_size == 1 ? 1.0 : 0.54 - 0.46 * std::cos(2.0 * M_PI * static_cast<double>(i) / (kernel_size - 1.0));
}

at::Tensor hamming_window(int64_t kernel_size) {
  check_kernel_size(kernel_size);
  auto window = at::empty({1, 1, kernel_size, kernel_size}, at::kFloat);
  auto* values = window.mutable_data_ptr<float>();
  for (int64_t y = 0; y < kernel_size; ++y) {
    for (int64_t x = 0; x < kernel_size; ++x) {
      values[y * kernel_size + x] = static_cast<float>(hamming_weight(y, kernel_size) * hamming_weight(x, kernel_size));
    }
  }
  return window;
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def("kernel_normalizer(Tensor logits, int kernel_size, bool hamming=True, int groups=1) -> Tensor");
  m.def(
      "kernel_normalizer.out(Tensor logits, int kernel_size, bool hamming=True, int groups=1, *, Tensor(a!) out) -> "
      "Tensor(a!)");
  m.def(
      "kernel_normalizer_backward(Tensor grad_output, Tensor output, int kernel_size, int groups) -> "
      "Tensor");
}
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) {
  m.impl("kernel_normalizer", freqfusion::forward_meta);
  m.impl("kernel_normalizer.out", freqfusion::out_meta);
  m.impl("kernel_normalizer_backward", freqfusion::backward_meta);
}
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("kernel_normalizer", freqfusion::forward_autograd);
  m.impl("kernel_normalizer.out", torch::autograd::autogradNotImplementedFallback());
  m.impl("kernel_normalizer_backward", torch::autograd::autogradNotImplementedFallback());
}
TORCH_LIBRARY_IMPL(freqfusion, ADInplaceOrView, m) {
  m.impl("kernel_normalizer.out", torch::autograd::autogradNotImplementedInplaceOrViewFallback());
}
