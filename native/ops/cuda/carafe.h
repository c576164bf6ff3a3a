#pragma once

// carafe and high_pass on raw pointers. Compiled by nvcc; the glue beside it calls these.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

struct CarafeArgs {
  Storage storage;
  int64_t batch, channels, height, width;  // of the features
  int kernel_size, groups, scale;
  bool reflect;
  int own;  // 0: output = carafe; otherwise output = own * features - carafe (scale 1)
  Map features, masks;
  Map output;  // the output, or its gradient
  Map grad_features, grad_masks;
};

// Each returns null, or what went wrong. All sizes are at least 1.
const char* carafe_forward(const CarafeArgs& args, void* stream);
const char* carafe_grad_features(const CarafeArgs& args, void* stream);
const char* carafe_grad_masks(const CarafeArgs& args, void* stream);

}  // namespace freqfusion::cuda
