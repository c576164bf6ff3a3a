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

// The pixels of one run: taps * run values stay in half of a 32 KB first-level cache for the usual kernels, and the
// runs stay long enough for the prefetcher to follow `taps` planes.
constexpr int64_t kNormalizerBuffer = 31 * 31 * 16;
constexpr int64_t normalizer_run(int64_t taps) {
  const int64_t pixels = 4096 / taps / 16 * 16;
  return pixels < 16 ? 16 : pixels > 256 ? 256 : pixels;
}

FREQFUSION_DECLARE_KERNEL(void, kernel_normalizer_forward,
                          (const KernelNormalizerArgs& args, int64_t begin, int64_t end))
FREQFUSION_DECLARE_KERNEL(void, kernel_normalizer_backward,
                          (const KernelNormalizerArgs& args, int64_t begin, int64_t end))

}  // namespace freqfusion::cpu
