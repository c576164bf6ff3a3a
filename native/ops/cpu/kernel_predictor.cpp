#include "native/ops/kernel_predictor.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "native/ops/accumulator.h"
#include "native/ops/cpu/aligned_scratch.h"
#include "native/ops/cpu/kernel_predictor_kernels.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/kernel_normalizer.h"

namespace freqfusion::cpu {
namespace {

at::Tensor window_of(bool hamming, int64_t kernel_size) {
  return hamming ? hamming_window(kernel_size) : at::ones({kernel_size, kernel_size}, at::kFloat);
}

// Masks from this many bytes on would evict what is still needed from the caches, and not survive there anyway.
constexpr int64_t kStreamBytes = 8 << 20;

bool can_stream(const at::Tensor& mask) {
  const int64_t size = mask.element_size();
  return mask.numel() * size >= kStreamBytes && mask.is_contiguous() && mask.size(3) * size % 64 == 0 &&
         reinterpret_cast<uintptr_t>(mask.const_data_ptr()) % 64 == 0;
}

std::vector<at::Tensor> kernel_predictor_cpu(const at::Tensor& low_hr, const at::Tensor& low_lr,
                                             const std::optional<at::Tensor>& high_hr,
                                             const std::optional<at::Tensor>& high_lr, int64_t lowpass_kernel,
                                             int64_t highpass_kernel, int64_t groups, bool hamming,
                                             std::string_view border, at::ScalarType type, bool channels_last,
                                             bool stages) {
  const KernelPredictorOptions options{lowpass_kernel, highpass_kernel, groups, hamming, parse_border(border)};
  check_kernel_predictor({low_hr, low_lr, high_hr.value_or(at::Tensor()), high_lr.value_or(at::Tensor())}, options);
  TORCH_CHECK(accumulator_type(type) == low_hr.scalar_type(), "expected a dtype computed in ", low_hr.scalar_type(),
              " (that of low_hr) for dtype, got ", type);
  const at::Tensor low_window = window_of(hamming, lowpass_kernel), high_window = window_of(hamming, highpass_kernel);

  KernelPredictorArgs args;
  args.storage = storage_of(low_hr);
  args.height = low_lr.size(2);
  args.width = low_lr.size(3);
  args.lowpass_kernel = static_cast<int>(lowpass_kernel);
  args.highpass_kernel = static_cast<int>(highpass_kernel);
  args.groups = static_cast<int>(groups);
  args.reflect = options.border == Border::reflect;
  args.low_window = low_window.const_data_ptr<float>();
  args.high_window = high_window.const_data_ptr<float>();
  args.low_hr = map_of(low_hr);
  args.low_lr = map_of(low_lr);

  std::vector<at::Tensor> results;
  const auto mask_kind = low_hr.options().dtype(type).memory_format(channels_last ? at::MemoryFormat::ChannelsLast
                                                                                  : at::MemoryFormat::Contiguous);
  const auto output = [&](const at::Tensor& like, const at::TensorOptions& kind) {
    results.push_back(at::empty(like.sizes(), kind));
    return map_of(results.back());
  };
  args.mask_lr = output(low_hr, mask_kind);
  args.mask_storage = storage_of(results.back());
  if (high_hr) {
    args.high_hr = map_of(*high_hr);
    args.high_lr = map_of(*high_lr);
    args.mask_hr = output(*high_hr, mask_kind);
  }
  if (stages) {
    args.first_mask = output(low_hr, low_hr.options());
    args.low = output(low_hr, low_hr.options());
    if (high_hr) args.high = output(*high_hr, low_hr.options());
  }
  args.stream = std::all_of(results.begin(), results.begin() + (high_hr ? 2 : 1), can_stream);
  const int64_t rows = low_lr.size(0) * groups * args.height;
  if (rows == 0 || args.width == 0) return results;
  // A source pixel's 4 * k^4 multiply-adds and as many exponentials as it has taps; 100,000 are worth a thread.
  const int64_t taps = lowpass_kernel * lowpass_kernel;
  const int64_t grain = std::max<int64_t>(1, 100000 / (args.width * 4 * taps * (taps + 20)));
  const int64_t scratch_bytes = FREQFUSION_DISPATCH(kernel_predictor_scratch_bytes)(args);
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    const AlignedScratch scratch(scratch_bytes);
    FREQFUSION_DISPATCH(kernel_predictor_forward)(args, begin, end, scratch.data);
  });
  return results;
}

}  // namespace
}  // namespace freqfusion::cpu

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("kernel_predictor", freqfusion::cpu::kernel_predictor_cpu); }
