#pragma once

// sampling_offset on raw pointers. Compiled by nvcc; the glue beside it calls this.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

struct SamplingOffsetArgs {
  Storage storage;                         // of hr, lr and the output: f32 or f64
  Storage start_storage;                   // of init_pos
  int64_t batch, channels, height, width;  // of the output
  bool scaled;
  Map hr, lr, output;
  const void* start;  // init_pos
  int64_t start_step;
};

// Returns null, or what went wrong. All sizes are at least 1.
const char* sampling_offset_forward(const SamplingOffsetArgs& args, void* stream);

}  // namespace freqfusion::cuda
