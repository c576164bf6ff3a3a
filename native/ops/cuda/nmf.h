#pragma once

// The update of nmf on raw pointers. Compiled by nvcc; the glue beside it calls this.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

// output = factor * numerator / (factor gram + 1e-6); everything dense, the output shares no memory with the inputs.
struct NmfUpdateArgs {
  bool wide;  // float64 in place of float32
  int64_t images, rows, rank;
  const void *factor, *numerator;  // [images, rows, rank]
  const void* gram;                // [images, rank, rank]
  void* output;
};

// Returns null, or what went wrong. All sizes are at least 1.
const char* nmf_update(const NmfUpdateArgs& args, void* stream);

}  // namespace freqfusion::cuda
