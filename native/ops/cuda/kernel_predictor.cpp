#include "native/ops/cuda/kernel_predictor.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <optional>
#include <vector>

#include "native/ops/accumulator.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cuda/device.h"
#include "native/ops/kernel_normalizer.h"
#include "native/ops/kernel_predictor.h"

namespace freqfusion::cuda {
namespace {

Map map_or_none(const at::Tensor& tensor) { return tensor.defined() ? cpu::map_of(tensor) : Map{}; }

KernelPredictorArgs arguments(const KernelLogits& logits, const PredictedKernels& kernels,
                              const KernelPredictorOptions& options) {
  KernelPredictorArgs args{};
  args.storage = cpu::storage_of(logits.low_hr);
  args.mask_storage = cpu::storage_of(kernels.mask_lr);
  args.batch = logits.low_lr.size(0);
  args.groups = options.groups;
  args.height = logits.low_lr.size(2);
  args.width = logits.low_lr.size(3);
  args.reflect = options.border == Border::reflect;
  for (int i = 0; i < kPredictedLow; ++i) args.low_side[i] = options.hamming ? hamming_weight(i, kPredictedLow) : 1.0;
  for (int i = 0; i < kPredictedHigh; ++i) {
    args.high_side[i] = options.hamming ? hamming_weight(i, kPredictedHigh) : 1.0;
  }
  args.low_hr = cpu::map_of(logits.low_hr);
  args.low_lr = cpu::map_of(logits.low_lr);
  args.high_hr = map_or_none(logits.high_hr);
  args.high_lr = map_or_none(logits.high_lr);
  args.mask_lr = cpu::map_of(kernels.mask_lr);
  args.mask_hr = map_or_none(kernels.mask_hr);
  args.first_mask = map_or_none(kernels.first_mask);
  args.low = map_or_none(kernels.low);
  args.high = map_or_none(kernels.high);
  return args;
}

PredictedKernels empty_kernels(const KernelLogits& logits, at::ScalarType type, at::MemoryFormat format, bool stages) {
  const auto like = [](const at::Tensor& map, const at::TensorOptions& kind) {
    return map.defined() ? at::empty(map.sizes(), kind) : at::Tensor();
  };
  const auto mask = logits.low_hr.options().dtype(type).memory_format(format), stage = logits.low_hr.options();
  PredictedKernels kernels;
  kernels.mask_lr = like(logits.low_hr, mask);
  kernels.mask_hr = like(logits.high_hr, mask);
  if (!stages) return kernels;
  kernels.first_mask = like(logits.low_hr, stage);
  kernels.low = like(logits.low_hr, stage);
  kernels.high = like(logits.high_hr, stage);
  return kernels;
}

std::vector<at::Tensor> forward(const at::Tensor& low_hr, const at::Tensor& low_lr,
                                const std::optional<at::Tensor>& high_hr, const std::optional<at::Tensor>& high_lr,
                                int64_t lowpass_kernel, int64_t highpass_kernel, int64_t groups, bool hamming,
                                std::string_view border, at::ScalarType type, bool channels_last, bool stages) {
  const KernelPredictorOptions options{lowpass_kernel, highpass_kernel, groups, hamming, parse_border(border)};
  const KernelLogits logits{low_hr, low_lr, high_hr.value_or(at::Tensor()), high_lr.value_or(at::Tensor())};
  check_kernel_predictor(logits, options);
  TORCH_CHECK(accumulator_type(type) == low_hr.scalar_type(), "expected a dtype computed in ", low_hr.scalar_type(),
              " (that of low_hr) for dtype, got ", type);
  const OnDevice device(low_hr);
  const auto format = channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  if (lowpass_kernel == kPredictedLow && (highpass_kernel == kPredictedHigh || !high_hr)) {
    const PredictedKernels kernels = empty_kernels(logits, type, format, stages);
    const KernelPredictorArgs args = arguments(logits, kernels, options);
    if (low_lr.numel() == 0) return listed(kernels, stages);
    if (kernel_predictor_fits(args)) {
      check_launch(kernel_predictor_forward(args, device.stream()), "kernel_predictor");
      return listed(kernels, stages);
    }
  }
  return listed(compose_kernels(logits, options, type, format), stages);
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) { m.impl("kernel_predictor", freqfusion::cuda::forward); }
