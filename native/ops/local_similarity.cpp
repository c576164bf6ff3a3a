#include "native/ops/local_similarity.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <string>

#include "native/ops/check.h"

namespace freqfusion {
namespace {

at::Tensor forward_meta(const at::Tensor& x, int64_t kernel_size, int64_t dilation, c10::string_view similarity) {
  check_local_similarity(x, kernel_size, dilation);
  parse_similarity(similarity);
  return empty_local_similarity(x, kernel_size);
}

at::Tensor& out_meta(const at::Tensor& x, int64_t kernel_size, int64_t dilation, c10::string_view similarity,
                     at::Tensor& out) {
  check_local_similarity(x, kernel_size, dilation);
  parse_similarity(similarity);
  check_output(out, local_similarity_sizes(x, kernel_size), x, "x");
  return out;
}

at::Tensor backward_meta(const at::Tensor& grad_output, const at::Tensor& x, int64_t kernel_size, int64_t dilation,
                         c10::string_view similarity) {
  check_local_similarity_backward(grad_output, x, kernel_size, dilation);
  parse_similarity(similarity);
  return at::empty_like(x);
}

class Formula : public torch::autograd::Function<Formula> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, int64_t kernel_size,
                            int64_t dilation, const std::string& similarity) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x});
    context->saved_data["kernel_size"] = kernel_size;
    context->saved_data["dilation"] = dilation;
    context->saved_data["similarity"] = similarity;
    return local_similarity(x, kernel_size, dilation, parse_similarity(similarity));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grad_outputs) {
    const auto x = context->get_saved_variables()[0];
    auto grad_x = local_similarity_backward(grad_outputs[0], x, context->saved_data["kernel_size"].toInt(),
                                            context->saved_data["dilation"].toInt(),
                                            parse_similarity(context->saved_data["similarity"].toStringRef()));
    return {grad_x, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor forward_autograd(const at::Tensor& x, int64_t kernel_size, int64_t dilation, c10::string_view similarity) {
  return Formula::apply(x, kernel_size, dilation, std::string(similarity));
}

}  // namespace

Similarity parse_similarity(std::string_view name) {
  if (name == "cosine") return Similarity::cosine;
  if (name == "dot") return Similarity::dot;
  TORCH_CHECK(false, "expected cosine or dot for similarity, got ", std::string(name));
}

const char* similarity_name(Similarity similarity) { return similarity == Similarity::cosine ? "cosine" : "dot"; }

at::Tensor local_similarity(const at::Tensor& x, int64_t kernel_size, int64_t dilation, Similarity similarity) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("freqfusion::local_similarity", "")
                             .typed<at::Tensor(const at::Tensor&, int64_t, int64_t, c10::string_view)>();
  return op.call(x, kernel_size, dilation, similarity_name(similarity));
}

void local_similarity_out(const at::Tensor& output, const at::Tensor& x, int64_t kernel_size, int64_t dilation,
                          Similarity similarity) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("freqfusion::local_similarity", "out")
                             .typed<at::Tensor&(const at::Tensor&, int64_t, int64_t, c10::string_view, at::Tensor&)>();
  at::Tensor out = output;
  op.call(x, kernel_size, dilation, similarity_name(similarity), out);
}

at::Tensor local_similarity_backward(const at::Tensor& grad_output, const at::Tensor& x, int64_t kernel_size,
                                     int64_t dilation, Similarity similarity) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("freqfusion::local_similarity_backward", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t, int64_t, c10::string_view)>();
  return op.call(grad_output, x, kernel_size, dilation, similarity_name(similarity));
}

void check_local_similarity(const at::Tensor& x, int64_t kernel_size, int64_t dilation) {
  check_rank4(x, "x", "[N, C, H, W]");
  check_floating(x, "x");
  // The bounds keep k * k and k * dilation far from overflow; a window may be larger than the map.
  check_kernel_size(kernel_size, 4095);
  check_range(dilation, 1, int64_t{1} << 31, "dilation");
}

void check_local_similarity_backward(const at::Tensor& grad_output, const at::Tensor& x, int64_t kernel_size,
                                     int64_t dilation) {
  check_local_similarity(x, kernel_size, dilation);
  check_rank4(grad_output, "grad_output", "[N, k*k - 1, H, W]");
  check_same_kind(x, "x", grad_output, "grad_output");
  check_sizes(grad_output, local_similarity_sizes(x, kernel_size), "grad_output");
}

std::array<c10::SymInt, 4> local_similarity_sizes(const at::Tensor& x, int64_t kernel_size) {
  return {x.sym_size(0), kernel_size * kernel_size - 1, x.sym_size(2), x.sym_size(3)};
}

at::Tensor empty_local_similarity(const at::Tensor& x, int64_t kernel_size) {
  return at::empty_symint(local_similarity_sizes(x, kernel_size), x.options().memory_format(x.suggest_memory_format()));
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def("local_similarity(Tensor x, int kernel_size=3, int dilation=2, str similarity=\"cosine\") -> Tensor");
  m.def(
      "local_similarity.out(Tensor x, int kernel_size=3, int dilation=2, str similarity=\"cosine\", *, Tensor(a!) out) "
      "-> Tensor(a!)");
  m.def(
      "local_similarity_backward(Tensor grad_output, Tensor x, int kernel_size, int dilation, str similarity) -> "
      "Tensor");
}
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) {
  m.impl("local_similarity", freqfusion::forward_meta);
  m.impl("local_similarity.out", freqfusion::out_meta);
  m.impl("local_similarity_backward", freqfusion::backward_meta);
}
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("local_similarity", freqfusion::forward_autograd);
  m.impl("local_similarity.out", torch::autograd::autogradNotImplementedFallback());
  m.impl("local_similarity_backward", torch::autograd::autogradNotImplementedFallback());
}
TORCH_LIBRARY_IMPL(freqfusion, ADInplaceOrView, m) {
  m.impl("local_similarity.out", torch::autograd::autogradNotImplementedInplaceOrViewFallback());
}
