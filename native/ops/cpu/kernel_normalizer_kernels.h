#pragma once

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

// Maps of groups * taps channels. The driver merges the rows of dense maps into one, so `width` may be H * W.
// Work is counted in runs of `run` pixels: images * groups * height * runs_per_row of them.
struct KernelNormalizerArgs {
  Storage storage;
  Map in;    // forward: logits; backward: the forward's output
  Map grad;  // backward: the output's gradient
  Map out;   // written
  int64_t groups, taps, height, width;
  int64_t run, runs_per_row;
  const float* window;  // [taps]
};

// Values of a working buffer: taps * run never exceeds it (kernel 31, runs of 16 pixels).
constexpr int64_t kNormalizerBuffer = 31 * 31 * 16;

FREQFUSION_DECLARE_KERNEL(void, kernel_normalizer_forward,
                          (const KernelNormalizerArgs& args, int64_t begin, int64_t end))
FREQFUSION_DECLARE_KERNEL(void, kernel_normalizer_backward,
                          (const KernelNormalizerArgs& args, int64_t begin, int64_t end))

}  // namespace freqfusion::cpu
