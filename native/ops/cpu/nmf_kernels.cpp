#include "native/ops/cpu/nmf_kernels.h"

#include "native/ops/cpu/kernel_normalizer_taps.h"
#include "native/ops/cpu/panel_product.h"
#include "native/ops/cpu/staging.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

template <typename A>
constexpr A kEps = A(1e-6);  // of both updates' denominators

// A matrix whose rows are whole panels, as the right operand.
template <typename A>
Panels<A> panels_of(const A* matrix, int64_t columns) {
  return {matrix, kPanel, columns};
}
// The left operand: rows of a matrix, or its columns (the transposed matrix).
template <typename A>
Rows<A> rows_of(const A* matrix, int64_t columns) {
  return {matrix, columns, 16, 1};
}
template <typename A>
Rows<A> columns_of(const A* matrix, int64_t columns) {
  return {matrix, 1, 16 * columns, columns};
}

template <bool add, typename A>
FREQFUSION_INLINE void put(A* to, int64_t width, const A* tile, int64_t pitch, int64_t m, int rows, int64_t n,
                           int64_t columns) {
  for (int i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; j += Vec<A>::size) {
      A* at = to + (m + i) * width + n + j;
      const Vec<A> value = load_aligned(tile + i * pitch + j);
      store(at, add ? load(at) + value : value);
    }
  }
}

// to [rows][width] = or += left * right, with `width` a whole number of panels.
template <bool add, typename A>
void product(const Rows<A>& left, int64_t rows, const Panels<A>& right, int64_t width, int64_t depth, A* to) {
  multiply<A>(left, rows, right, width / kPanel, depth,
              [&](const A* tile, int64_t pitch, int64_t m, int count, int64_t n, int64_t columns) {
                put<add>(to, width, tile, pitch, m, count, n, columns);
              });
}

// values = values * numerator / (denominator + eps)
template <typename A>
void update(A* values, const A* numerator, const A* denominator, int64_t count) {
  const Vec<A> eps = broadcast(kEps<A>);
  for (int64_t i = 0; i < count; i += Vec<A>::size) {
    store(values + i, load(values + i) * load(numerator + i) / (load(denominator + i) + eps));
  }
}

template <typename A>
void softmax(const A* logits, A* to, int64_t rank, int64_t wide) {
  constexpr int lanes = Vec<A>::size;
  A largest = logits[0];
  // A NaN makes the sum NaN below, wherever it stands.
  for (int64_t r = 1; r < rank; ++r) largest = logits[r] > largest ? logits[r] : largest;
  A total = 0;
  for (int64_t r = 0; r < wide; r += lanes) {
    store(to + r, exp_negative(min(broadcast<A>(0), load(logits + r) - broadcast(largest))));
    for (int64_t i = r; i < r + lanes; ++i) {
      if (i >= rank) to[i] = 0;
      total += to[i];
    }
  }
  const Vec<A> share = broadcast(A(1) / total);
  for (int64_t r = 0; r < wide; r += lanes) store(to + r, load(to + r) * share);
}

// A chunk goes through the cache once: a block of 64 pixels (64 KB of X for 256 features) is multiplied with F, its
// coefficients are updated, and it is multiplied with them while both are still there.
template <typename A>
void pass_over(const NmfArgs& args, int64_t image, int64_t chunk, NmfPass pass, A* scratch) {
  const int64_t dim = args.dim, wide = args.wide;
  const A* bases = static_cast<const A*>(args.bases) + image * dim * wide;
  const A* gram = static_cast<const A*>(args.gram) + image * wide * wide;
  A* sums = static_cast<A*>(args.sums) + (image * args.chunks + chunk) * dim * wide;
  A* gram_sums = static_cast<A*>(args.gram_sums) + (image * args.chunks + chunk) * wide * wide;
  A *numerator = scratch, *denominator = scratch + kNmfBlock * wide;
  const bool ends = pass == NmfPass::last || pass == NmfPass::only;
  if (!ends) {
    fill_zero(sums, dim * wide);
    fill_zero(gram_sums, wide * wide);
  }
  const int64_t end = (chunk + 1) * args.chunk < args.pixels ? (chunk + 1) * args.chunk : args.pixels;
  for (int64_t p = chunk * args.chunk; p < end; p += kNmfBlock) {
    const int64_t count = end - p < kNmfBlock ? end - p : kNmfBlock;
    const A* x = static_cast<const A*>(args.x) + (image * args.pixels + p) * dim;
    A* a = static_cast<A*>(args.coefficients) + (image * args.pixels + p) * wide;
    product<false>(rows_of(x, dim), count, panels_of(bases, wide), wide, dim, numerator);
    if (pass == NmfPass::first || pass == NmfPass::only) {
      for (int64_t i = 0; i < count; ++i) softmax(numerator + i * wide, a + i * wide, args.rank, wide);
    }
    product<false>(rows_of<A>(a, wide), count, panels_of(gram, wide), wide, wide, denominator);
    update(a, numerator, denominator, count * wide);
    if (!ends) {
      product<true>(columns_of(x, dim), dim, panels_of<A>(a, wide), wide, count, sums);
      product<true>(columns_of<A>(a, wide), wide, panels_of<A>(a, wide), wide, count, gram_sums);
      continue;
    }
    A* output = static_cast<A*>(args.output) + (image * args.pixels + p) * dim;
    const A* transposed = static_cast<const A*>(args.transposed) + image * wide * args.features;
    multiply<A>(rows_of<A>(a, wide), count, panels_of(transposed, args.features), args.features / kPanel, wide,
                [&](const A* tile, int64_t pitch, int64_t m, int rows, int64_t n, int64_t columns) {
                  for (int i = 0; i < rows; ++i) {
                    const int64_t left = dim - n < columns ? dim - n : columns;
                    store_run(output + (m + i) * dim + n, 1, left, tile + i * pitch);
                  }
                });
  }
}

template <typename A>
void update_bases(const NmfArgs& args, int64_t image, int64_t begin, int64_t end, A* scratch) {
  const int64_t dim = args.dim, wide = args.wide, chunks = args.chunks;
  A* total = scratch + 2 * kNmfBlock * wide;
  const A* grams = static_cast<const A*>(args.gram_sums) + image * chunks * wide * wide;
  for (int64_t i = 0; i < wide * wide; i += Vec<A>::size) {
    Vec<A> sum = load(grams + i);
    for (int64_t c = 1; c < chunks; ++c) sum = sum + load(grams + c * wide * wide + i);
    store(total + i, sum);
  }
  for (int64_t d = begin; d < end; d += kNmfBlock) {
    const int64_t rows = end - d < kNmfBlock ? end - d : kNmfBlock;
    A *numerator = scratch, *denominator = scratch + kNmfBlock * wide;
    A* bases = static_cast<A*>(args.bases) + (image * dim + d) * wide;
    const A* sums = static_cast<const A*>(args.sums) + (image * chunks * dim + d) * wide;
    for (int64_t i = 0; i < rows * wide; i += Vec<A>::size) {
      Vec<A> sum = load(sums + i);
      for (int64_t c = 1; c < chunks; ++c) sum = sum + load(sums + c * dim * wide + i);
      store(numerator + i, sum);
    }
    product<false>(rows_of<A>(bases, wide), rows, panels_of<A>(total, wide), wide, wide, denominator);
    update(bases, numerator, denominator, rows * wide);
  }
}

template <typename A>
void form_gram(const NmfArgs& args, int64_t image, bool transpose) {
  const int64_t dim = args.dim, wide = args.wide;
  const A* bases = static_cast<const A*>(args.bases) + image * dim * wide;
  A* gram = static_cast<A*>(args.gram) + image * wide * wide;
  product<false>(columns_of(bases, wide), wide, panels_of(bases, wide), wide, dim, gram);
  if (!transpose) return;
  A* transposed = static_cast<A*>(args.transposed) + image * wide * args.features;
  fill_zero(transposed, wide * args.features);
  for (int64_t d = 0; d < dim; ++d) {
    for (int64_t r = 0; r < wide; ++r) transposed[r * args.features + d] = bases[d * wide + r];
  }
}

}  // namespace

void nmf_pass(const NmfArgs& args, int64_t image, int64_t chunk, NmfPass pass, void* scratch) {
  if (args.storage == Storage::f64) return pass_over(args, image, chunk, pass, static_cast<double*>(scratch));
  pass_over(args, image, chunk, pass, static_cast<float*>(scratch));
}

void nmf_bases(const NmfArgs& args, int64_t image, int64_t begin, int64_t end, void* scratch) {
  if (args.storage == Storage::f64) return update_bases(args, image, begin, end, static_cast<double*>(scratch));
  update_bases(args, image, begin, end, static_cast<float*>(scratch));
}

void nmf_gram(const NmfArgs& args, int64_t image, bool transpose) {
  if (args.storage == Storage::f64) return form_gram<double>(args, image, transpose);
  form_gram<float>(args, image, transpose);
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
