#include "native/ops/cuda/nmf.h"

namespace freqfusion::cuda {
namespace {

// A thread owns one value of the factor. Threads of a warp share its row, and read neighbouring columns of the Gram
// matrix, which stays in the cache.
template <typename T>
struct NmfUpdate {
  const T *factor, *numerator, *gram;
  T* output;
  int64_t threads, rows;
  int rank;

  explicit NmfUpdate(const NmfUpdateArgs& args)
      : factor(static_cast<const T*>(args.factor)),
        numerator(static_cast<const T*>(args.numerator)),
        gram(static_cast<const T*>(args.gram)),
        output(static_cast<T*>(args.output)),
        threads(args.images * args.rows * args.rank),
        rows(args.rows),
        rank(static_cast<int>(args.rank)) {}

  FREQFUSION_HD void operator()(int64_t thread) const {
    const int64_t row = thread / rank;
    const int column = static_cast<int>(thread % rank);
    const T* values = factor + row * rank;
    const T* products = gram + row / rows * rank * rank + column;
    T denominator = T(1e-6);
    for (int j = 0; j < rank; ++j) denominator += read(values + j) * read(products + static_cast<int64_t>(j) * rank);
    output[thread] = values[column] * read(numerator + thread) / denominator;
  }
};

}  // namespace

const char* nmf_update(const NmfUpdateArgs& args, void* stream) {
  return args.wide ? launch(NmfUpdate<double>(args), stream) : launch(NmfUpdate<float>(args), stream);
}

}  // namespace freqfusion::cuda
