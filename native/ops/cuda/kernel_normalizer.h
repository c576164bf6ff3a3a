#pragma once

// kernel_normalizer on raw pointers. Compiled by nvcc; the glue beside it calls these.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

constexpr int kLargestKernel = 31;

struct KernelNormalizerArgs {
  Storage storage;
  int64_t batch, groups, height, width;
  int kernel_size;
  double side[kLargestKernel];  // the window is the outer product of this with itself, rounded to float32
  Map in;                       // the logits, or the output of the forward pass
  Map grad_output;
  Map out;  // the output, or the gradient of the logits; the forward pass may write over its logits
};

// Each returns null, or what went wrong. All sizes are at least 1.
const char* kernel_normalizer_forward(const KernelNormalizerArgs& args, void* stream);
const char* kernel_normalizer_backward(const KernelNormalizerArgs& args, void* stream);

}  // namespace freqfusion::cuda
