#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace freqfusion::cpu {

// Outputs above this many bytes bypass the caches: they would evict what is still needed and not survive anyway.
constexpr int64_t kStreamBytes = 24 << 20;

// `output` is large, dense along `dense_dim`, and its runs along it of `part` elements begin where streaming stores
// can: at whole cache lines.
inline bool can_stream(const at::Tensor& output, int64_t dense_dim, int64_t part) {
  const int64_t line = 64 / output.element_size();
  if (output.numel() * output.element_size() < kStreamBytes || output.stride(dense_dim) != 1) return false;
  if (part % line != 0 || reinterpret_cast<uintptr_t>(output.const_data_ptr()) % 64 != 0) return false;
  for (int64_t dim = 0; dim < 4; ++dim) {
    if (dim != dense_dim && output.stride(dim) % line != 0) return false;
  }
  return true;
}

}  // namespace freqfusion::cpu
