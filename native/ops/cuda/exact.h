#pragma once

#include "native/ops/cuda/scalar.h"

namespace freqfusion::cuda {

// a * b, never fused with what follows: where the last bit decides, a GPU decides as a CPU does.
FREQFUSION_HD float product(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
FREQFUSION_HD double product(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

}  // namespace freqfusion::cuda
