#pragma once

#include <ATen/core/Tensor.h>

namespace freqfusion::cpu {

// The map itself where its pixels follow each other at one distance with their channels side by side, so that
// [N, C, H, W] can be read as [N * H * W, C] with pixel_step; otherwise a channels-last copy.
inline at::Tensor pixel_major(const at::Tensor& map) {
  const bool channels = map.size(1) == 1 || map.stride(1) == 1;
  const int64_t step = map.size(3) == 1 ? (map.size(2) == 1 ? map.stride(0) : map.stride(2)) : map.stride(3);
  const bool rows = map.size(2) == 1 || map.stride(2) == step * map.size(3);
  const bool images = map.size(0) == 1 || map.stride(0) == step * map.size(3) * map.size(2);
  if (channels && rows && images && step >= map.size(1)) return map;
  return map.contiguous(at::MemoryFormat::ChannelsLast);
}

// Of a map from pixel_major.
inline int64_t pixel_step(const at::Tensor& map) {
  if (map.size(3) > 1) return map.stride(3);
  if (map.size(2) > 1) return map.stride(2);
  return map.size(0) > 1 ? map.stride(0) : map.size(1);
}

}  // namespace freqfusion::cpu
