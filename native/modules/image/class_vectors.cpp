#include "native/modules/image/class_vectors.h"

#include <algorithm>
#include <bit>

// glibc's loader picks the clone; elsewhere there is the one that the compiler's flags give.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define FREQFUSION_CLONES __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#else
#define FREQFUSION_CLONES
#endif

// Lets the compiler reorder a reduction; without OpenMP the loop is the same, one element at a time.
#ifdef _OPENMP
#define FREQFUSION_SIMD(clause) _Pragma(clause)
#else
#define FREQFUSION_SIMD(clause)
#endif

namespace freqfusion::class_vectors {
namespace {

// e^x for x <= 0, without branches so that the loop around it vectorises (Cephes' expf: reduction by powers of two
// and a polynomial of degree 6). Values below e^-87 become that.
inline float exponential(float x) {
  constexpr float rounder = 12582912.F;  // 1.5 * 2^23: adding it rounds to a whole number
  x = std::max(x, -87.F);
  const float rounded = x * 1.44269504F + rounder;
  const float power = rounded - rounder;
  const float r = (x - power * 0.693359375F) + power * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.F;
  const int32_t exponent = std::bit_cast<int32_t>(rounded) - std::bit_cast<int32_t>(rounder);
  return p * std::bit_cast<float>((exponent + 127) << 23);
}

}  // namespace

FREQFUSION_CLONES void add_scaled(float* __restrict out, const float* __restrict in, float weight, int64_t length) {
  for (int64_t i = 0; i < length; ++i) out[i] += weight * in[i];
}

FREQFUSION_CLONES void set_scaled(float* __restrict out, const float* __restrict in, float weight, int64_t length) {
  for (int64_t i = 0; i < length; ++i) out[i] = weight * in[i];
}

FREQFUSION_CLONES int64_t argmax(const float* values, int64_t length) {
  float greatest = values[0];
  FREQFUSION_SIMD("omp simd reduction(max : greatest)")
  for (int64_t i = 0; i < length; ++i) greatest = values[i] > greatest ? values[i] : greatest;
  // Sixteen values at a time up to the first that is equal, then one at a time.
  constexpr int64_t step = 16;
  int64_t index = 0;
  for (; index + step < length; index += step) {
    int32_t equal = 0;
    for (int64_t i = 0; i < step; ++i) equal |= static_cast<int32_t>(values[index + i] == greatest);
    if (equal != 0) break;
  }
  while (index + 1 < length && values[index] != greatest) ++index;
  return index;
}

FREQFUSION_CLONES void softmax(float* values, int64_t length) {
  float greatest = values[0];
  FREQFUSION_SIMD("omp simd reduction(max : greatest)")
  for (int64_t i = 0; i < length; ++i) greatest = values[i] > greatest ? values[i] : greatest;
  float sum = 0;
  FREQFUSION_SIMD("omp simd reduction(+ : sum)")
  for (int64_t i = 0; i < length; ++i) {
    values[i] = exponential(values[i] - greatest);
    sum += values[i];
  }
  const float share = 1.F / sum;
  for (int64_t i = 0; i < length; ++i) values[i] *= share;
}

}  // namespace freqfusion::class_vectors
