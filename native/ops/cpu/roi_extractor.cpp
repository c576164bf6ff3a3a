#include "native/ops/roi_extractor.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "native/ops/cpu/roi_align_into.h"

namespace freqfusion::cpu {
namespace {

at::Tensor roi_extract_cpu(at::TensorList features, const at::Tensor& rois, at::ArrayRef<double> scales,
                           int64_t out_height, int64_t out_width, int64_t sampling_ratio, bool aligned,
                           double finest_scale) {
  const RoiAlignOptions options{out_height, out_width, 1, sampling_ratio, aligned};
  check_roi_extract(features, rois, scales, options, finest_scale);
  const at::Tensor output = at::empty({rois.size(0), features[0].size(1), out_height, out_width}, features[0].options(),
                                      features[0].suggest_memory_format());
  const at::Tensor levels = roi_levels(rois, static_cast<int64_t>(features.size()), finest_scale);
  roi_align_into(output, features.vec(), scales.vec(), rois, levels, options);
  return output;
}

}  // namespace
}  // namespace freqfusion::cpu

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("roi_extract", freqfusion::cpu::roi_extract_cpu); }
