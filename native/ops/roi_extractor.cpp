#include "native/ops/roi_extractor.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log2.h>
#include <ATen/ops/nan_to_num.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sqrt.h>
#include <torch/library.h>

#include "native/ops/check.h"

namespace freqfusion {
namespace {

using Signature = at::Tensor(at::TensorList, const at::Tensor&, at::ArrayRef<double>, int64_t, int64_t, int64_t, bool,
                             double);

at::Tensor call(at::TensorList features, const at::Tensor& rois, at::ArrayRef<double> scales,
                const RoiAlignOptions& options, double finest_scale) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::roi_extract", "").typed<Signature>();
  return op.call(features, rois, scales, options.out_height, options.out_width, options.sampling_ratio, options.aligned,
                 finest_scale);
}

at::Tensor meta(at::TensorList features, const at::Tensor& rois, at::ArrayRef<double> scales, int64_t out_height,
                int64_t out_width, int64_t sampling_ratio, bool aligned, double finest_scale) {
  check_roi_extract(features, rois, scales, {out_height, out_width, 1, sampling_ratio, aligned}, finest_scale);
  return at::empty_symint({rois.sym_size(0), features[0].sym_size(1), out_height, out_width}, features[0].options(),
                          features[0].suggest_memory_format());
}

// Gradients go through roi_align, level by level.
at::Tensor autograd(at::TensorList features, const at::Tensor& rois, at::ArrayRef<double> scales, int64_t out_height,
                    int64_t out_width, int64_t sampling_ratio, bool aligned, double finest_scale) {
  RoiAlignOptions options{out_height, out_width, 1, sampling_ratio, aligned};
  bool differentiable = false;
  for (const at::Tensor& map : features) differentiable = differentiable || map.requires_grad();
  if (!differentiable || !at::GradMode::is_enabled()) {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    return call(features, rois, scales, options, finest_scale);
  }
  check_roi_extract(features, rois, scales, options, finest_scale);
  const at::Tensor levels = roi_levels(rois, static_cast<int64_t>(features.size()), finest_scale);
  std::vector<at::Tensor> pooled, places;
  for (size_t i = 0; i < features.size(); ++i) {
    const at::Tensor place = at::nonzero(at::eq(levels, static_cast<int64_t>(i))).select(1, 0);
    options.spatial_scale = scales[i];
    pooled.push_back(roi_align(features[i], at::index_select(rois, 0, place), options));
    places.push_back(place);
  }
  return at::index_select(at::cat(pooled), 0, at::argsort(at::cat(places)));
}

}  // namespace

at::Tensor roi_levels(const at::Tensor& rois, int64_t levels, double finest_scale) {
  TORCH_CHECK(rois.dim() == 2 && (rois.sym_size(1) == 4 || rois.sym_size(1) == 5),
              "expected shape [K, 4] or [K, 5] for rois, got ", rois.sym_sizes());
  check_floating(rois, "rois");
  check_range(levels, 1, 64, "levels");
  TORCH_CHECK(finest_scale > 0, "expected a positive number for finest_scale, got ", finest_scale);
  const int64_t first = rois.size(1) - 4;
  const auto side = [&](int64_t axis) { return rois.select(1, first + axis + 2) - rois.select(1, first + axis); };
  const at::Tensor size = at::sqrt(side(0) * side(1));
  const at::Tensor level = at::log2(size / finest_scale + 1e-6).floor();
  return at::clamp(at::nan_to_num(level), 0, levels - 1).to(at::kLong);
}

at::Tensor roi_extract(const std::vector<at::Tensor>& features, const at::Tensor& rois,
                       const std::vector<double>& spatial_scales, const RoiAlignOptions& options, double finest_scale) {
  return call(features, rois, spatial_scales, options, finest_scale);
}

void check_roi_extract(at::TensorList features, const at::Tensor& rois, at::ArrayRef<double> spatial_scales,
                       const RoiAlignOptions& options, double finest_scale) {
  TORCH_CHECK(!features.empty(), "expected at least one map for features, got none");
  TORCH_CHECK(features.size() == spatial_scales.size(), "expected a number for each of the ", features.size(),
              " features for spatial_scales, got ", spatial_scales.size());
  TORCH_CHECK(finest_scale > 0, "expected a positive number for finest_scale, got ", finest_scale);
  for (size_t i = 0; i < features.size(); ++i) {
    RoiAlignOptions of_level = options;
    of_level.spatial_scale = spatial_scales[i];
    check_roi_align(features[i], rois, of_level);
    check_same_kind(features[0], "features[0]", features[i], "features");
    TORCH_CHECK(
        features[i].sym_size(0) == features[0].sym_size(0) && features[i].sym_size(1) == features[0].sym_size(1),
        "expected the images and channels of features[0] ", features[0].sym_sizes(), " for features[", i, "], got ",
        features[i].sym_sizes());
  }
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "roi_extract(Tensor[] features, Tensor rois, float[] spatial_scales, int out_height, int out_width, int "
      "sampling_ratio=0, bool aligned=True, float finest_scale=56.0) -> Tensor");
  m.def("roi_levels(Tensor rois, int levels, float finest_scale=56.0) -> Tensor", freqfusion::roi_levels);
}

TORCH_LIBRARY_IMPL(freqfusion, Meta, m) { m.impl("roi_extract", freqfusion::meta); }

TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) { m.impl("roi_extract", freqfusion::autograd); }
