#pragma once

// offset_sampler on raw pointers. Compiled by nvcc; the glue beside it calls these.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

struct OffsetSamplerArgs {
  Storage storage;
  int64_t batch, channels, height, width;  // of x; height and width are even
  int64_t groups;
  Map x, offset;
  Map out;  // the output, or its gradient
  Map grad_offset;
  // Sums in the accumulation type, 0 at first: the gradient of x itself for float32 and float64.
  Map grad_x;
};

// Each returns null, or what went wrong. All sizes are at least 1.
const char* offset_sampler_forward(const OffsetSamplerArgs& args, void* stream);
const char* offset_sampler_grad_offset(const OffsetSamplerArgs& args, void* stream);
// Adds with atomics, as an offset may lead anywhere: the order of the sums, and their last bits, vary from run to run.
const char* offset_sampler_grad_x(const OffsetSamplerArgs& args, void* stream);

}  // namespace freqfusion::cuda
