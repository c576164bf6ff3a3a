#include "native/ops/roi_align.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <array>
#include <cmath>

#include "native/ops/accumulator.h"
#include "native/ops/check.h"

namespace freqfusion {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

using ForwardSignature = at::Tensor(const at::Tensor&, const at::Tensor&, int64_t, int64_t, double, int64_t, bool);
using BackwardSignature = at::Tensor(const at::Tensor&, const at::Tensor&, c10::SymIntArrayRef, int64_t, int64_t,
                                     double, int64_t, bool);

at::Tensor call_forward(const at::Tensor& features, const at::Tensor& rois, const RoiAlignOptions& o) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::roi_align", "").typed<ForwardSignature>();
  return op.call(features, rois, o.out_height, o.out_width, o.spatial_scale, o.sampling_ratio, o.aligned);
}

at::Tensor call_backward(const at::Tensor& grad_output, const at::Tensor& rois, c10::SymIntArrayRef sizes,
                         const RoiAlignOptions& o) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::roi_align_backward", "").typed<BackwardSignature>();
  return op.call(grad_output, rois, sizes, o.out_height, o.out_width, o.spatial_scale, o.sampling_ratio, o.aligned);
}

void check_options(const RoiAlignOptions& options) {
  check_range(options.out_height, 1, 256, "out_height");
  check_range(options.out_width, 1, 256, "out_width");
  check_range(options.sampling_ratio, 0, 64, "sampling_ratio");
  TORCH_CHECK(std::isfinite(options.spatial_scale) && options.spatial_scale > 0,
              "expected a positive number for spatial_scale, got ", options.spatial_scale);
}

// `like` is the map that is sampled, or its gradient.
void check_rois(const at::Tensor& rois, const at::Tensor& like, const char* like_name) {
  TORCH_CHECK(rois.dim() == 2 && rois.sym_size(1) == 5, "expected shape [K, 5] for rois, got ", rois.sym_sizes());
  const auto wanted = accumulator_type(like.scalar_type());
  TORCH_CHECK(rois.scalar_type() == wanted, "expected ", wanted, " for rois beside ", like_name, " of ",
              like.scalar_type(), ", got ", rois.scalar_type());
  TORCH_CHECK(rois.device() == like.device(), "expected the device of ", like_name, " (", like.device(),
              ") for rois, got ", rois.device());
}

std::array<c10::SymInt, 4> output_sizes(const at::Tensor& features, const at::Tensor& rois, const RoiAlignOptions& o) {
  return {rois.sym_size(0), features.sym_size(1), o.out_height, o.out_width};
}

// ---- shapes alone ----------------------------------------------------------------------------------------------

at::Tensor forward_meta(const at::Tensor& features, const at::Tensor& rois, int64_t out_height, int64_t out_width,
                        double spatial_scale, int64_t sampling_ratio, bool aligned) {
  const RoiAlignOptions options{out_height, out_width, spatial_scale, sampling_ratio, aligned};
  check_roi_align(features, rois, options);
  return at::empty_symint(output_sizes(features, rois, options), features.options(), features.suggest_memory_format());
}

at::Tensor& out_meta(const at::Tensor& features, const at::Tensor& rois, int64_t out_height, int64_t out_width,
                     double spatial_scale, int64_t sampling_ratio, bool aligned, at::Tensor& out) {
  const RoiAlignOptions options{out_height, out_width, spatial_scale, sampling_ratio, aligned};
  check_roi_align(features, rois, options);
  check_output(out, output_sizes(features, rois, options), features, "features");
  return out;
}

at::Tensor backward_meta(const at::Tensor& grad_output, const at::Tensor& rois, c10::SymIntArrayRef sizes,
                         int64_t out_height, int64_t out_width, double spatial_scale, int64_t sampling_ratio,
                         bool aligned) {
  check_roi_align_backward(grad_output, rois, sizes, {out_height, out_width, spatial_scale, sampling_ratio, aligned});
  return at::empty_symint(sizes, grad_output.options(), grad_output.suggest_memory_format());
}

// ---- autograd --------------------------------------------------------------------------------------------------

void save_options(AutogradContext* context, const RoiAlignOptions& options) {
  context->saved_data["out_height"] = options.out_height;
  context->saved_data["out_width"] = options.out_width;
  context->saved_data["spatial_scale"] = options.spatial_scale;
  context->saved_data["sampling_ratio"] = options.sampling_ratio;
  context->saved_data["aligned"] = options.aligned;
}

RoiAlignOptions saved_options(AutogradContext* context) {
  return {context->saved_data["out_height"].toInt(), context->saved_data["out_width"].toInt(),
          context->saved_data["spatial_scale"].toDouble(), context->saved_data["sampling_ratio"].toInt(),
          context->saved_data["aligned"].toBool()};
}

struct RoiAlignFunction : torch::autograd::Function<RoiAlignFunction> {
  static Variable forward(AutogradContext* context, const Variable& features, const Variable& rois,
                          const RoiAlignOptions& options) {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({rois});
    context->saved_data["sizes"] = features.sym_sizes();
    save_options(context, options);
    return call_forward(features, rois, options);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    if (!grads[0].defined()) return {Variable(), Variable(), Variable()};
    const auto sizes = context->saved_data["sizes"].toSymIntVector();
    return {call_backward(grads[0], context->get_saved_variables()[0], sizes, saved_options(context)), Variable(),
            Variable()};
  }
};

// roi_align is linear in the features, so the derivative of its gradient is roi_align itself.
struct RoiAlignBackwardFunction : torch::autograd::Function<RoiAlignBackwardFunction> {
  static Variable forward(AutogradContext* context, const Variable& grad_output, const Variable& rois,
                          c10::SymIntArrayRef sizes, const RoiAlignOptions& options) {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    context->save_for_backward({rois});
    save_options(context, options);
    return call_backward(grad_output, rois, sizes, options);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    if (!grads[0].defined()) return {Variable(), Variable(), Variable(), Variable()};
    return {call_forward(grads[0], context->get_saved_variables()[0], saved_options(context)), Variable(), Variable(),
            Variable()};
  }
};

at::Tensor forward_autograd(const at::Tensor& features, const at::Tensor& rois, int64_t out_height, int64_t out_width,
                            double spatial_scale, int64_t sampling_ratio, bool aligned) {
  return RoiAlignFunction::apply(features, rois,
                                 RoiAlignOptions{out_height, out_width, spatial_scale, sampling_ratio, aligned});
}

at::Tensor backward_autograd(const at::Tensor& grad_output, const at::Tensor& rois, c10::SymIntArrayRef sizes,
                             int64_t out_height, int64_t out_width, double spatial_scale, int64_t sampling_ratio,
                             bool aligned) {
  return RoiAlignBackwardFunction::apply(
      grad_output, rois, sizes, RoiAlignOptions{out_height, out_width, spatial_scale, sampling_ratio, aligned});
}

}  // namespace

at::Tensor roi_align(const at::Tensor& features, const at::Tensor& rois, const RoiAlignOptions& options) {
  return call_forward(features, rois, options);
}

at::Tensor roi_align_backward(const at::Tensor& grad_output, const at::Tensor& rois, at::IntArrayRef sizes,
                              const RoiAlignOptions& options) {
  return call_backward(grad_output, rois, c10::fromIntArrayRefSlow(sizes), options);
}

void check_roi_align(const at::Tensor& features, const at::Tensor& rois, const RoiAlignOptions& options) {
  check_rank4(features, "features", "[N, C, H, W]");
  check_floating(features, "features");
  check_rois(rois, features, "features");
  check_options(options);
}

void check_roi_align_backward(const at::Tensor& grad_output, const at::Tensor& rois, c10::SymIntArrayRef sizes,
                              const RoiAlignOptions& options) {
  check_rank4(grad_output, "grad_output", "[K, C, out_height, out_width]");
  check_floating(grad_output, "grad_output");
  check_rois(rois, grad_output, "grad_output");
  check_options(options);
  TORCH_CHECK(sizes.size() == 4, "expected 4 sizes [N, C, H, W], got ", sizes);
  for (const c10::SymInt& size : sizes) TORCH_CHECK(size >= 0, "expected sizes from 0, got ", sizes);
  const std::array<c10::SymInt, 4> wanted{rois.sym_size(0), sizes[1], options.out_height, options.out_width};
  check_sizes(grad_output, wanted, "grad_output");
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "roi_align(Tensor features, Tensor rois, int out_height, int out_width, float spatial_scale=1.0, int "
      "sampling_ratio=0, bool aligned=True) -> Tensor");
  m.def(
      "roi_align.out(Tensor features, Tensor rois, int out_height, int out_width, float spatial_scale=1.0, int "
      "sampling_ratio=0, bool aligned=True, *, Tensor(a!) out) -> Tensor(a!)");
  m.def(
      "roi_align_backward(Tensor grad_output, Tensor rois, SymInt[] sizes, int out_height, int out_width, float "
      "spatial_scale, int sampling_ratio, bool aligned) -> Tensor");
}

TORCH_LIBRARY_IMPL(freqfusion, Meta, m) {
  m.impl("roi_align", freqfusion::forward_meta);
  m.impl("roi_align.out", freqfusion::out_meta);
  m.impl("roi_align_backward", freqfusion::backward_meta);
}

TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("roi_align", freqfusion::forward_autograd);
  m.impl("roi_align.out", torch::autograd::autogradNotImplementedFallback());
  m.impl("roi_align_backward", freqfusion::backward_autograd);
}

TORCH_LIBRARY_IMPL(freqfusion, ADInplaceOrView, m) {
  m.impl("roi_align.out", torch::autograd::autogradNotImplementedInplaceOrViewFallback());
}
