#pragma once

#include <stdint.h>

namespace freqfusion::cpu {

// Working memory of the Winograd convolution for some tiles: a line of zeros, then for each of the 36 points the
// inputs [tile][in_pitch], then likewise the products [tile][out_pitch].
struct WinogradLayout {
  int64_t in_pitch, out_pitch;
  int64_t in_step, out_step;  // from point to point
};

static inline WinogradLayout winograd_layout(int64_t in, int64_t out, int64_t tiles) {
  const int64_t in_pitch = (in + 15) / 16 * 16, out_pitch = (out + 15) / 16 * 16;
  // A cache line more than whole tiles: 36 points a multiple of 4 KB apart would share one set of the cache.
  return {in_pitch, out_pitch, tiles * in_pitch + 16, tiles * out_pitch + 16};
}

static inline int64_t winograd_floats(const WinogradLayout& layout) {
  return layout.in_pitch + 36 * (layout.in_step + layout.out_step);
}

}  // namespace freqfusion::cpu
