#pragma once

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

constexpr int64_t kNmfBlock = 64;  // pixels that are worked on together

// All matrices row by row, contiguous. `wide` is the rank rounded up to 16, `features` the D of X rounded up to 16;
// what lies beyond rank and dim is zero, and stays so.
struct NmfArgs {
  Storage storage;     // f32 or f64
  const void* x;       // [images, pixels, dim]
  void* output;        // [images, pixels, dim]
  void* coefficients;  // A [images, pixels, wide]
  void* bases;         // F [images, dim, wide]
  void* transposed;    // F^T [images, wide, features]
  void* gram;          // F^T F [images, wide, wide]
  void* sums;          // X^T A [images, chunks, dim, wide], a chunk's share each
  void* gram_sums;     // A^T A [images, chunks, wide, wide]
  int64_t images, pixels, dim, rank, wide, features;
  int64_t chunk, chunks;  // pixels of a chunk, and how many of them an image has
};

enum class NmfPass { first, between, last, only };  // `only` is first and last

// Values of the working memory of a thread.
inline int64_t nmf_scratch(const NmfArgs& args) { return 2 * kNmfBlock * args.wide + args.wide * args.wide; }

// One chunk: A is started (first pass) and updated, then either the sums for F are formed or (last pass) the output.
FREQFUSION_DECLARE_KERNEL(void, nmf_pass,
                          (const NmfArgs& args, int64_t image, int64_t chunk, NmfPass pass, void* scratch))
// F's rows begin .. end from the sums of all chunks.
FREQFUSION_DECLARE_KERNEL(void, nmf_bases,
                          (const NmfArgs& args, int64_t image, int64_t begin, int64_t end, void* scratch))
// F^T F, and F^T where it is asked for.
FREQFUSION_DECLARE_KERNEL(void, nmf_gram, (const NmfArgs& args, int64_t image, bool transpose))

}  // namespace freqfusion::cpu
