#include "native/ops/kernel_predictor.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <optional>
#include <utility>
#include <vector>

#include "native/ops/carafe.h"
#include "native/ops/check.h"
#include "native/ops/kernel_normalizer.h"

namespace freqfusion {
namespace {

using OptionalTensor = std::optional<at::Tensor>;
using Signature = std::vector<at::Tensor>(const at::Tensor&, const at::Tensor&, const OptionalTensor&,
                                          const OptionalTensor&, int64_t, int64_t, int64_t, bool, std::string_view,
                                          at::ScalarType, bool, bool);

const c10::TypedOperatorHandle<Signature>& op() {
  static const auto handle =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::kernel_predictor", "").typed<Signature>();
  return handle;
}

OptionalTensor optional(const at::Tensor& tensor) { return tensor.defined() ? OptionalTensor(tensor) : std::nullopt; }

std::vector<at::Tensor> meta(const at::Tensor& low_hr, const at::Tensor& low_lr, const OptionalTensor& high_hr,
                             const OptionalTensor& high_lr, int64_t lowpass_kernel, int64_t highpass_kernel,
                             int64_t groups, bool hamming, std::string_view border, at::ScalarType type,
                             bool channels_last, bool stages) {
  const KernelPredictorOptions options{lowpass_kernel, highpass_kernel, groups, hamming, parse_border(border)};
  check_kernel_predictor({low_hr, low_lr, high_hr.value_or(at::Tensor()), high_lr.value_or(at::Tensor())}, options);
  const auto format = channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  const auto like = [](const at::Tensor& logits, const at::TensorOptions& kind) {
    return at::empty_symint(logits.sym_sizes(), kind);
  };
  const auto mask = low_hr.options().dtype(type).memory_format(format), stage = low_hr.options();
  PredictedKernels kernels;
  kernels.mask_lr = like(low_hr, mask);
  if (high_hr) kernels.mask_hr = like(*high_hr, mask);
  if (stages) {
    kernels.first_mask = like(low_hr, stage);
    kernels.low = like(low_hr, stage);
    if (high_hr) kernels.high = like(*high_hr, stage);
  }
  return listed(kernels, stages);
}

// Gradients come from the operators of the definition; without them the fused kernel runs.
std::vector<at::Tensor> autograd(const at::Tensor& low_hr, const at::Tensor& low_lr, const OptionalTensor& high_hr,
                                 const OptionalTensor& high_lr, int64_t lowpass_kernel, int64_t highpass_kernel,
                                 int64_t groups, bool hamming, std::string_view border, at::ScalarType type,
                                 bool channels_last, bool stages) {
  const auto wants = [](const OptionalTensor& tensor) { return tensor && tensor->requires_grad(); };
  if (at::GradMode::is_enabled() && (wants(low_hr) || wants(low_lr) || wants(high_hr) || wants(high_lr))) {
    const KernelPredictorOptions options{lowpass_kernel, highpass_kernel, groups, hamming, parse_border(border)};
    return listed(
        compose_kernels({low_hr, low_lr, high_hr.value_or(at::Tensor()), high_lr.value_or(at::Tensor())}, options, type,
                        channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous),
        stages);
  }
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  return op().call(low_hr, low_lr, high_hr, high_lr, lowpass_kernel, highpass_kernel, groups, hamming, border, type,
                   channels_last, stages);
}

void check_pair(const at::Tensor& hr, const char* hr_name, const at::Tensor& lr, const char* lr_name, int64_t channels,
                const KernelLogits& logits) {
  check_rank4(hr, hr_name, "[N, groups*k*k, 2h, 2w]");
  check_rank4(lr, lr_name, "[N, groups*k*k, h, w]");
  check_same_kind(logits.low_hr, "low_hr", hr, hr_name);
  check_same_kind(logits.low_hr, "low_hr", lr, lr_name);
  const at::Tensor& low_lr = logits.low_lr;
  check_sizes(lr, {low_lr.sym_size(0), channels, low_lr.sym_size(2), low_lr.sym_size(3)}, lr_name);
  check_sizes(hr, {low_lr.sym_size(0), channels, 2 * low_lr.sym_size(2), 2 * low_lr.sym_size(3)}, hr_name);
}

}  // namespace

void check_kernel_predictor(const KernelLogits& logits, const KernelPredictorOptions& options) {
  const at::ScalarType dtype = logits.low_hr.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble, "expected float32 or float64 for low_hr, got ", dtype);
  check_kernel_size(options.lowpass_kernel);
  check_kernel_size(options.highpass_kernel);
  check_range(options.groups, 1, 1 << 16, "groups");
  check_rank4(logits.low_lr, "low_lr", "[N, groups*k*k, h, w]");
  check_pair(logits.low_hr, "low_hr", logits.low_lr, "low_lr",
             options.groups * options.lowpass_kernel * options.lowpass_kernel, logits);
  TORCH_CHECK(logits.high_hr.defined() == logits.high_lr.defined(),
              "expected both or none of high_hr and high_lr, got one of them");
  if (logits.high_hr.defined()) {
    check_pair(logits.high_hr, "high_hr", logits.high_lr, "high_lr",
               options.groups * options.highpass_kernel * options.highpass_kernel, logits);
  }
  const int64_t radius = options.lowpass_kernel / 2;
  const at::Tensor& lr = logits.low_lr;
  TORCH_CHECK(options.border == Border::zeros || (lr.sym_size(2) > radius && lr.sym_size(3) > radius),
              "expected height and width above lowpass_kernel / 2 (", radius,
              ") for low_lr with border \"reflect\", got ", lr.sym_size(2), " x ", lr.sym_size(3));
}

std::vector<at::Tensor> listed(const PredictedKernels& kernels, bool stages) {
  std::vector<at::Tensor> list = {kernels.mask_lr};
  if (kernels.mask_hr.defined()) list.push_back(kernels.mask_hr);
  if (!stages) return list;
  list.push_back(kernels.first_mask);
  list.push_back(kernels.low);
  if (kernels.high.defined()) list.push_back(kernels.high);
  return list;
}

PredictedKernels compose_kernels(const KernelLogits& logits, const KernelPredictorOptions& options, at::ScalarType type,
                                 at::MemoryFormat format) {
  check_kernel_predictor(logits, options);
  const int64_t low = options.lowpass_kernel, groups = options.groups;
  const CarafeOptions doubling{low, groups, 2, options.border};
  PredictedKernels kernels;
  kernels.first_mask = kernel_normalizer(logits.low_hr, low, options.hamming, groups);
  kernels.low = at::add(carafe(logits.low_lr, kernels.first_mask, doubling), logits.low_hr);
  const at::Tensor mask_lr = kernel_normalizer(kernels.low, low, options.hamming, groups);
  kernels.mask_lr = mask_lr.to(type).contiguous(format);
  if (!logits.high_hr.defined()) return kernels;
  kernels.high = at::add(carafe(logits.high_lr, mask_lr, doubling), logits.high_hr);
  kernels.mask_hr =
      kernel_normalizer(kernels.high, options.highpass_kernel, options.hamming, groups).to(type).contiguous(format);
  return kernels;
}

PredictedKernels kernel_predictor(const KernelLogits& logits, const KernelPredictorOptions& options,
                                  at::ScalarType type, at::MemoryFormat format, bool stages) {
  std::vector<at::Tensor> list =
      op().call(logits.low_hr, logits.low_lr, optional(logits.high_hr), optional(logits.high_lr),
                options.lowpass_kernel, options.highpass_kernel, options.groups, options.hamming,
                border_name(options.border), type, format == at::MemoryFormat::ChannelsLast, stages);
  PredictedKernels kernels;
  size_t next = 0;
  kernels.mask_lr = std::move(list[next++]);
  if (logits.high_hr.defined()) kernels.mask_hr = std::move(list[next++]);
  if (!stages) return kernels;
  kernels.first_mask = std::move(list[next++]);
  kernels.low = std::move(list[next++]);
  if (logits.high_hr.defined()) kernels.high = std::move(list[next++]);
  return kernels;
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "kernel_predictor(Tensor low_hr, Tensor low_lr, Tensor? high_hr, Tensor? high_lr, int lowpass_kernel, "
      "int highpass_kernel, int groups, bool hamming, str border, ScalarType dtype, bool channels_last=False, "
      "bool stages=False) -> Tensor[]");
}
TORCH_LIBRARY_IMPL(freqfusion, Meta, m) { m.impl("kernel_predictor", freqfusion::meta); }
TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) { m.impl("kernel_predictor", freqfusion::autograd); }
