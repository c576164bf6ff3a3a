#include "native/ops/offset_sampler.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "native/ops/check.h"

namespace freqfusion {
namespace {

at::Tensor forward_meta(const at::Tensor& x, const at::Tensor& offset, int64_t groups) {
  check_offset_sampler(x, offset, groups);
  return at::empty_like(x);
}

at::Tensor& out_meta(const at::Tensor& x, const at::Tensor& offset, int64_t groups, at::Tensor& out) {
  check_offset_sampler(x, offset, groups);
  check_output(out, x.sym_sizes(), x, "x");
  return out;
}

std::tuple<at::Tensor, at::Tensor> backward_meta(const at::Tensor& grad_output, const at::Tensor& x,
                                                 const at::Tensor& offset, int64_t groups) {
  check_offset_sampler_backward(grad_output, x, offset, groups);
  return {at::empty_like(x), at::empty_like(offset)};
}

class Formula : public torch::autograd::Function<Formula> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& offset,
                            int64_t groups) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x, offset});
    context->saved_data["groups"] = groups;
    return offset_sampler(x, offset, groups);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grad_outputs) {
    const auto saved = context->get_saved_variables();
    auto [grad_x, grad_offset] =
        offset_sampler_backward(grad_outputs[0], saved[0], saved[1], context->saved_data["groups"].toInt());
    return {grad_x, grad_offset, at::Tensor()};
  }
};

at::Tensor forward_autograd(const at::Tensor& x, const at::Tensor& offset, int64_t groups) {
  return Formula::apply(x, offset, groups);
}

}  // namespace

at::Tensor offset_sampler(const at::Tensor& x, const at::Tensor& offset, int64_t groups) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("freqfusion::offset_sampler", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t)>();
  return op.call(x, offset, groups);
}

std::tuple<at::Tensor, at::Tensor> offset_sampler_backward(const at::Tensor& grad_output, const at::Tensor& x,
                                                           const at::Tensor& offset, int64_t groups) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("freqfusion::offset_sampler_backward", "")
                             .typed<std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&,
                                                                       const at::Tensor&, int64_t)>();
  return op.call(grad_output, x, offset, groups);
}

void check_offset_sampler(const at::Tensor& x, const at::Tensor& offset, int64_t groups) {
  check_rank4(x, "x", "[N, C, 2h, 2w]");
  check_rank4(offset, "offset", "[N, 8*groups, h, w]");
  check_floating(x, "x");
  check_same_kind(x, "x", offset, "offset");
  // The upper bound keeps 8 * groups far from overflow.
  check_range(groups, 1, int64_t{1} << 31, "groups");
  TORCH_CHECK(x.sym_size(1) % groups == 0, "expected a multiple of groups (", groups, ") channels for x, got ",
              x.sym_size(1));
  TORCH_CHECK(x.sym_size(2) % 2 == 0 && x.sym_size(3) % 2 == 0, "expected an even height and width for x, got ",
              x.sym_sizes());
  const c10::SymInt sizes[] = {x.sym_size(0), 8 * groups, x.sym_size(2) / 2, x.sym_size(3) / 2};
  check_sizes(offset, sizes, "offset");
}

void check_offset_sampler_backward(const at::Tensor& grad_output, const at::Tensor& x, const at::Tensor& offset,
                                   int64_t groups) {
  check_offset_sampler(x, offset, groups);
  check_same_kind(x, "x", grad_output, "grad_output");
  check_sizes(grad_output, x.sym_sizes(), "grad_output");
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def("offset_sampler(Tensor x, Tensor offset, int groups=4) -> Tensor");
  m.def("offset_sampler.out(Tensor x, Tensor offset, int groups=4, *, Tensor(a!) out) -> Tensor(a!)");
  m.def(
      "offset_sampler_backward(Tensor grad_output, Tensor x, Tensor offset, int groups) -> (Tensor, "
      "Tensor)");
}
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) {
  m.impl("offset_sampler", freqfusion::forward_meta);
  m.impl("offset_sampler.out", freqfusion::out_meta);
  m.impl("offset_sampler_backward", freqfusion::backward_meta);
}
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("offset_sampler", freqfusion::forward_autograd);
  m.impl("offset_sampler.out", torch::autograd::autogradNotImplementedFallback());
  m.impl("offset_sampler_backward", torch::autograd::autogradNotImplementedFallback());
}
TORCH_LIBRARY_IMPL(freqfusion, ADInplaceOrView, m) {
  m.impl("offset_sampler.out", torch::autograd::autogradNotImplementedInplaceOrViewFallback());
}
