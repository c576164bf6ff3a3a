#include "native/ops/roi_align.h"

#include <ATen/ops/aminmax.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "native/ops/accumulator.h"
#include "native/ops/check.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/overlap.h"
#include "native/ops/cpu/roi_align_plan.h"
#include "native/ops/cuda/device.h"
#include "native/ops/cuda/roi_align.h"
#include "native/ops/roi_extractor.h"

namespace freqfusion::cuda {
namespace {

// The one look of the CPU at the boxes: a wrong index would read other memory.
void check_images(const at::Tensor& rois, int64_t images) {
  if (rois.size(0) == 0) return;
  const at::Tensor column = rois.select(1, 0);
  const auto [least, greatest] = at::aminmax(column);
  for (const double image : {least.item<double>(), greatest.item<double>()}) {
    TORCH_CHECK(image >= 0 && image < static_cast<double>(images), "expected image indices below ", images,
                " for column 0 of rois, got ", image);
  }
}

RoiAlignArgs arguments(const at::Tensor& out, const at::Tensor& rois, at::IntArrayRef map, const RoiAlignOptions& o) {
  RoiAlignArgs args{};
  args.storage = cpu::storage_of(out);
  args.images = map[0];
  args.channels = map[1];
  args.height = map[2];
  args.width = map[3];
  args.boxes = rois.size(0);
  args.out_height = o.out_height;
  args.out_width = o.out_width;
  args.spatial_scale = o.spatial_scale;
  args.sampling_ratio = static_cast<int>(o.sampling_ratio);
  args.aligned = o.aligned;
  args.rois = rois.const_data_ptr();
  args.roi_step = rois.stride(0);
  args.roi_column = rois.stride(1);
  args.out = cpu::map_of(out);
  return args;
}

void forward_into(const at::Tensor& output, const at::Tensor& features, const at::Tensor& rois,
                  const RoiAlignOptions& options, const at::Tensor& levels, int64_t level, const OnDevice& device) {
  if (output.numel() == 0) return;
  RoiAlignArgs args = arguments(output, rois, features.sizes(), options);
  args.features = cpu::map_of(features);
  args.levels = levels.defined() ? levels.const_data_ptr<int64_t>() : nullptr;
  args.level = level;
  check_launch(roi_align_forward(args, device.stream()), "roi_align");
}

at::Tensor& forward_out(const at::Tensor& features, const at::Tensor& rois, int64_t out_height, int64_t out_width,
                        double spatial_scale, int64_t sampling_ratio, bool aligned, at::Tensor& output) {
  const RoiAlignOptions options{out_height, out_width, spatial_scale, sampling_ratio, aligned};
  check_roi_align(features, rois, options);
  const c10::SymInt sizes[] = {rois.size(0), features.size(1), out_height, out_width};
  check_output(output, sizes, features, "features");
  check_no_overlap(output, {features, rois});
  const OnDevice device(features);
  check_images(rois, features.size(0));
  forward_into(output, features, rois, options, at::Tensor(), 0, device);
  return output;
}

at::Tensor forward(const at::Tensor& features, const at::Tensor& rois, int64_t out_height, int64_t out_width,
                   double spatial_scale, int64_t sampling_ratio, bool aligned) {
  check_roi_align(features, rois, {out_height, out_width, spatial_scale, sampling_ratio, aligned});
  const OnDevice device(features);
  at::Tensor output = at::empty({rois.size(0), features.size(1), out_height, out_width}, features.options(),
                                features.suggest_memory_format());
  return forward_out(features, rois, out_height, out_width, spatial_scale, sampling_ratio, aligned, output);
}

at::Tensor backward(const at::Tensor& grad_output, const at::Tensor& rois, at::IntArrayRef sizes, int64_t out_height,
                    int64_t out_width, double spatial_scale, int64_t sampling_ratio, bool aligned) {
  const RoiAlignOptions options{out_height, out_width, spatial_scale, sampling_ratio, aligned};
  check_roi_align_backward(grad_output, rois, c10::fromIntArrayRefSlow(sizes), options);
  const OnDevice device(grad_output);
  check_images(rois, sizes[0]);
  const auto format = grad_output.suggest_memory_format();
  const auto sum_type = accumulator_type(grad_output.scalar_type());
  // The one working tensor: 16-bit gradients are summed in float32.
  const at::Tensor sums = at::empty(sizes, grad_output.options().dtype(sum_type), format).zero_();
  if (grad_output.numel() > 0 && sums.numel() > 0) {
    RoiAlignArgs args = arguments(grad_output, rois, sizes, options);
    args.sums = cpu::map_of(sums);
    check_launch(roi_align_backward(args, device.stream()), "roi_align_backward");
  }
  return sums.to(grad_output.scalar_type());
}

at::Tensor extract(at::TensorList features, const at::Tensor& rois, at::ArrayRef<double> scales, int64_t out_height,
                   int64_t out_width, int64_t sampling_ratio, bool aligned, double finest_scale) {
  RoiAlignOptions options{out_height, out_width, 1, sampling_ratio, aligned};
  check_roi_extract(features, rois, scales, options, finest_scale);
  const OnDevice device(features[0]);
  check_images(rois, features[0].size(0));
  const at::Tensor output = at::empty({rois.size(0), features[0].size(1), out_height, out_width}, features[0].options(),
                                      features[0].suggest_memory_format());
  const at::Tensor levels = roi_levels(rois, static_cast<int64_t>(features.size()), finest_scale);
  for (size_t i = 0; i < features.size(); ++i) {
    options.spatial_scale = scales[i];
    forward_into(output, features[i], rois, options, levels, static_cast<int64_t>(i), device);
  }
  return output;
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) {
  m.impl("roi_align", freqfusion::cuda::forward);
  m.impl("roi_align.out", freqfusion::cuda::forward_out);
  m.impl("roi_align_backward", freqfusion::cuda::backward);
  m.impl("roi_extract", freqfusion::cuda::extract);
}
