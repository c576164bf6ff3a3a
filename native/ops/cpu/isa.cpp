#include "native/ops/cpu/isa.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace freqfusion::cpu {
namespace {

Isa best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  // The whole set that sources.cmake compiles the AVX-512 and AVX2 objects for; GCC's check covers the operating
  // system's saving of the registers as well. Every CPU with AVX2 and FMA has F16C.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (avx512) return Isa::avx512;
  if (avx2) return Isa::avx2;
#endif
  return Isa::baseline;
}

Isa wished_isa(Isa best) {
  const char* wish = std::getenv("FREQFUSION_ISA");
  if (wish == nullptr) return best;
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    // A wish above what the CPU has would crash: the best one is kept.
    if (std::strcmp(wish, isa_name(isa)) == 0) return isa < best ? isa : best;
  }
  return best;
}

}  // namespace

Isa chosen_isa() {
  static const Isa isa = wished_isa(best_isa());
  return isa;
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::baseline:
      break;
  }
  return "baseline";
}

}  // namespace freqfusion::cpu
