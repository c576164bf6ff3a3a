#pragma once

// local_similarity on raw pointers. Compiled by nvcc; the glue beside it calls these.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

struct LocalSimilarityArgs {
  Storage storage;
  int64_t batch, channels, height, width, kernel_size, dilation;
  bool cosine;
  Map x, grad_output;
  Map out;  // the output, or the gradient of x
};

// Each returns null, or what went wrong. All sizes are at least 1 and kernel_size at least 3; the gradient of a kernel
// of 1 is 0 and none of theirs.
const char* local_similarity_forward(const LocalSimilarityArgs& args, void* stream);
const char* local_similarity_backward(const LocalSimilarityArgs& args, void* stream);

}  // namespace freqfusion::cuda
