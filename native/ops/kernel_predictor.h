#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "native/ops/border.h"
#include "native/ops/export.h"

namespace freqfusion {

struct KernelPredictorOptions {
  int64_t lowpass_kernel = 5;   // odd, 1..31
  int64_t highpass_kernel = 3;  // odd, 1..31
  int64_t groups = 1;
  bool hamming = true;
  Border border = Border::zeros;
};

// Logits of both filters: the low-pass ones [N, groups * kl * kl, ...], the high-pass ones [N, groups * kh * kh, ...]
// (undefined where only the low-pass kernels are wanted), `hr` of size [2h, 2w] and `lr` of size [h, w]. All float32
// or all float64.
struct KernelLogits {
  at::Tensor low_hr, low_lr, high_hr, high_lr;
};

struct PredictedKernels {
  at::Tensor mask_lr;  // [N, groups * kl * kl, 2h, 2w]
  at::Tensor mask_hr;  // [N, groups * kh * kh, 2h, 2w], undefined without the high-pass logits
  // What lies between, in the logits' dtype, where it is asked for.
  at::Tensor first_mask, low, high;
};

// FreqFusion's kernels from the logits of both resolutions: those of lr are grown by CARAFE with the kernels that hr
// alone gives, and added to hr's.
//   low = low_hr + carafe(low_lr, normalised(low_hr)),  mask_lr = normalised(low)
//   high = high_hr + carafe(high_lr, mask_lr),          mask_hr = normalised(high)
// The masks have dtype `type` and lie in `format`. Differentiable. Throws c10::Error for arguments that do not fit.
FREQFUSION_API PredictedKernels kernel_predictor(const KernelLogits& logits, const KernelPredictorOptions& options,
                                                 at::ScalarType type, at::MemoryFormat format, bool stages = false);

// The same, composed of the operators that name it: what gradients go through, and what a backend falls back to.
PredictedKernels compose_kernels(const KernelLogits& logits, const KernelPredictorOptions& options, at::ScalarType type,
                                 at::MemoryFormat format);
// The results in the order of the operator's schema: mask_lr, mask_hr; then, with `stages`, first_mask, low and high.
std::vector<at::Tensor> listed(const PredictedKernels& kernels, bool stages);

// The same checks for every backend.
void check_kernel_predictor(const KernelLogits& logits, const KernelPredictorOptions& options);

}  // namespace freqfusion
