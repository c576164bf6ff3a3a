#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

namespace freqfusion {

// A map [N, C, H, W] laid out row by row, [N, H, C, pitch] in memory: what a window of one pixel reads lies close
// together whatever the size of the map, which planes of a power of two bytes do not give. The pitch is an odd
// number of cache lines, so that the channels of one column spread over the whole first-level cache.
// On a GPU it is a contiguous map: there, neighbouring threads read neighbouring columns.
inline at::Tensor empty_rows_symint(c10::SymIntArrayRef sizes, const at::TensorOptions& options) {
  if (options.device().is_cuda()) return at::empty_symint(sizes, options);
  const auto line = 64 / static_cast<int64_t>(options.dtype().itemsize());
  const c10::SymInt lines = (sizes[3] + (line - 1)) / line;
  const c10::SymInt pitch = (lines + (lines % 2 == 0 ? 1 : 0)) * line;
  return at::empty_symint({sizes[0], sizes[2], sizes[1], pitch}, options)
      .permute({0, 2, 1, 3})
      .narrow_symint(3, 0, sizes[3]);
}
inline at::Tensor empty_rows(at::IntArrayRef sizes, const at::TensorOptions& options) {
  return empty_rows_symint(c10::fromIntArrayRefSlow(sizes), options);
}

}  // namespace freqfusion
