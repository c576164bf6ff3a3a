#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

// The tensor must outlive the map. Inputs and outputs alike: kernels say in their arguments which maps they write.
inline Map map_of(const at::Tensor& tensor) {
  return {const_cast<void*>(tensor.const_data_ptr()), tensor.stride(0), tensor.stride(1), tensor.stride(2),
          tensor.stride(3)};
}

inline Storage storage_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble:
      return Storage::f64;
    case at::kHalf:
      return Storage::f16;
    case at::kBFloat16:
      return Storage::bf16;
    default:
      return Storage::f32;
  }
}

// Bytes of one value in the type that the kernels compute in.
inline int64_t accumulator_size(Storage storage) { return storage == Storage::f64 ? 8 : 4; }

}  // namespace freqfusion::cpu
