#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

namespace freqfusion {

// A map [N, C, H, W] laid out row by row, [N, H, C, pitch] in memory: what a window of one pixel reads lies close
// together whatever the size of the map, which planes of a power of two bytes do not give. The pitch is an odd
// number of cache lines, so that the channels of one column spread over the whole first-level cache.
inline at::Tensor empty_rows(at::IntArrayRef sizes, const at::TensorOptions& options) {
  const int64_t line = 64 / static_cast<int64_t>(options.dtype().itemsize());
  const int64_t lines = (sizes[3] + line - 1) / line;
  const int64_t pitch = (lines | 1) * line;
  return at::empty({sizes[0], sizes[2], sizes[1], pitch}, options).permute({0, 2, 1, 3}).narrow(3, 0, sizes[3]);
}

// The dtype that the kernels compute in: float32 but for float64.
inline at::ScalarType accumulator_type(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

}  // namespace freqfusion
