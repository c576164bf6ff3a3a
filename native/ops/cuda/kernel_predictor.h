#pragma once

// kernel_predictor on raw pointers. Compiled by nvcc; the glue beside it calls this.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

// The kernels that the fused form is made for; the others are composed of the operators that define them.
constexpr int kPredictedLow = 5, kPredictedHigh = 3;

struct KernelPredictorArgs {
  Storage storage;                       // of the logits and the stages: f32 or f64
  Storage mask_storage;                  // of the masks: f64 for f64 logits, any other for f32 ones
  int64_t batch, groups, height, width;  // of lr
  bool reflect;
  double low_side[kPredictedLow], high_side[kPredictedHigh];  // windows: each side's outer product with itself
  Map low_hr, low_lr, high_hr, high_lr;                       // no data in the high ones: not wanted
  Map mask_lr, mask_hr;
  Map first_mask, low, high;  // the stages; no data: not wanted
};

// Whether every offset fits 32 bits: what kernel_predictor_forward takes.
bool kernel_predictor_fits(const KernelPredictorArgs& args);
// Returns null, or what went wrong. All sizes are at least 1.
const char* kernel_predictor_forward(const KernelPredictorArgs& args, void* stream);

}  // namespace freqfusion::cuda
