#pragma once

#include "native/ops/export.h"

// The kernels in *_kernels.cpp are compiled once per instruction set, inside namespace FREQFUSION_ISA
// (baseline, avx2, avx512), and chosen here at run time.

namespace freqfusion::cpu {

enum class Isa { baseline, avx2, avx512 };

// The best instruction set of this CPU; the environment variable FREQFUSION_ISA (baseline, avx2, avx512) can lower
// it. Read once.
FREQFUSION_API Isa chosen_isa();
FREQFUSION_API const char* isa_name(Isa isa);

}  // namespace freqfusion::cpu

// Declares a kernel in every instruction set: FREQFUSION_DECLARE_KERNEL(void, carafe_forward_f32, (const CarafeArgs&))
// FREQFUSION_DISPATCH(carafe_forward_f32)(args) calls the chosen one.
#if defined(__x86_64__)
#define FREQFUSION_DECLARE_KERNEL(result, name, parameters) \
  namespace baseline {                                      \
  result name parameters;                                   \
  }                                                         \
  namespace avx2 {                                          \
  result name parameters;                                   \
  }                                                         \
  namespace avx512 {                                        \
  result name parameters;                                   \
  }
#define FREQFUSION_DISPATCH(name)                                                                          \
  (::freqfusion::cpu::chosen_isa() == ::freqfusion::cpu::Isa::avx512                                       \
       ? &::freqfusion::cpu::avx512::name                                                                  \
       : (::freqfusion::cpu::chosen_isa() == ::freqfusion::cpu::Isa::avx2 ? &::freqfusion::cpu::avx2::name \
                                                                          : &::freqfusion::cpu::baseline::name))
#else
#define FREQFUSION_DECLARE_KERNEL(result, name, parameters) \
  namespace baseline {                                      \
  result name parameters;                                   \
  }
#define FREQFUSION_DISPATCH(name) (&::freqfusion::cpu::baseline::name)
#endif
