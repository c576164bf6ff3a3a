#pragma once

#include <c10/core/ScalarType.h>

namespace freqfusion {

// The dtype that kernels sum in, and in which coordinates keep their digits: float32 but for float64.
inline c10::ScalarType accumulator_type(c10::ScalarType dtype) {
  return dtype == c10::ScalarType::Double ? c10::ScalarType::Double : c10::ScalarType::Float;
}

}  // namespace freqfusion
