#include "native/ops/cpu/nms_kernels.h"

#include "native/ops/cpu/vec.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace suppression {

// Keeps the compiler from fusing a product into what follows.
template <typename A>
FREQFUSION_INLINE Vec<A> rounded(Vec<A> product) {
#if defined(__AVX512F__)
  asm("" : "+v"(product.v));
#elif defined(__x86_64__)
  asm("" : "+x"(product.v));
#elif defined(__aarch64__)
  asm("" : "+w"(product.v));
#endif
  return product;
}

// Is any lane of a above its partner in b? NaN is not.
template <typename A>
FREQFUSION_INLINE bool any_above(Vec<A> a, Vec<A> b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(A) == 4) {
    return _mm512_cmp_ps_mask((__m512)a.v, (__m512)b.v, _CMP_GT_OQ) != 0;
  } else {
    return _mm512_cmp_pd_mask((__m512d)a.v, (__m512d)b.v, _CMP_GT_OQ) != 0;
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(A) == 4) {
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256)a.v, (__m256)b.v, _CMP_GT_OQ)) != 0;
  } else {
    return _mm256_movemask_pd(_mm256_cmp_pd((__m256d)a.v, (__m256d)b.v, _CMP_GT_OQ)) != 0;
  }
#else
  bool any = false;
  for (int i = 0; i < Vec<A>::size; ++i) any = any || a.v[i] > b.v[i];
  return any;
#endif
}

template <typename A>
bool overlaps(const NmsList<A>& list, const NmsBox<A>& box, A threshold, A offset) {
  constexpr int lanes = Vec<A>::size;
  const Vec<A> x1 = broadcast(box.x1), y1 = broadcast(box.y1), x2 = broadcast(box.x2), y2 = broadcast(box.y2);
  const Vec<A> area = broadcast(box.area), gap = broadcast(offset), limit = broadcast(threshold);
  // Few pairs come near the threshold: the others need no division.
  const Vec<A> below = broadcast(threshold * (1 - A(1e-5)));
  for (int64_t i = 0; i < list.count; i += lanes) {
    const Vec<A> width = max(min(load(list.x2 + i), x2) - max(load(list.x1 + i), x1) + gap, zero<A>());
    const Vec<A> height = max(min(load(list.y2 + i), y2) - max(load(list.y1 + i), y1) + gap, zero<A>());
    const Vec<A> common = rounded(width * height);
    const Vec<A> all = load(list.area + i) + area - common;
    if (any_above(common, below * all) && any_above(common / all, limit)) return true;
  }
  return false;
}

}  // namespace suppression

bool nms_overlaps_f32(const NmsList<float>& list, const NmsBox<float>& box, float threshold, float offset) {
  return suppression::overlaps(list, box, threshold, offset);
}

bool nms_overlaps_f64(const NmsList<double>& list, const NmsBox<double>& box, double threshold, double offset) {
  return suppression::overlaps(list, box, threshold, offset);
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
