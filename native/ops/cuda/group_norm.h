#pragma once

// group_norm on raw pointers. Compiled by nvcc; the glue beside it calls these.

#include "native/ops/cuda/launch.h"

namespace freqfusion::cuda {

// Parts that a group is cut into at most, each summed by one block.
constexpr int kGroupParts = kThreads;

struct GroupNormArgs {
  Storage storage;         // of x
  Storage output_storage;  // that of x, or what x is computed in
  int64_t batch, channels, height, width;
  int64_t groups;
  int64_t parts;  // of every group, from group_norm_parts
  double eps;
  Map x, output;
  Storage weight_storage, bias_storage;
  const void *weight, *bias;  // [channels], dense
  double* moments;            // [batch * groups, parts, 2]: mean and sum of squared distances from it
};

// Few elements of a part are not worth a block, and few blocks do not fill a card.
int64_t group_norm_parts(const GroupNormArgs& args);

// One after the other. Each returns null, or what went wrong. All sizes are at least 1.
const char* group_norm_moments(const GroupNormArgs& args, void* stream);
const char* group_norm_apply(const GroupNormArgs& args, void* stream);

}  // namespace freqfusion::cuda
