#include "native/ops/cuda/kernel_normalizer.h"
#include "native/ops/cuda/kernel_normalizer_bodies.h"

namespace freqfusion::cuda {
namespace {

Extent extent(const KernelNormalizerArgs& a, const Map& map) {
  return {map, a.batch, a.groups * a.kernel_size * a.kernel_size, a.height, a.width};
}

template <typename S, typename I>
const char* forward(const KernelNormalizerArgs& args, void* stream) {
  switch (args.kernel_size) {
    case 3:
      return launch(NormalizeInRegisters<S, I, 3>(args), stream);
    case 5:
      return launch(NormalizeInRegisters<S, I, 5>(args), stream);
    default:
      return launch(NormalizeInPasses<S, I>(args), stream);
  }
}

}  // namespace

const char* kernel_normalizer_forward(const KernelNormalizerArgs& args, void* stream) {
  const bool narrow = fits_32_bits({extent(args, args.in), extent(args, args.out)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? forward<S, int32_t>(args, stream) : forward<S, int64_t>(args, stream);
  });
}

const char* kernel_normalizer_backward(const KernelNormalizerArgs& args, void* stream) {
  const bool narrow = fits_32_bits({extent(args, args.in), extent(args, args.grad_output), extent(args, args.out)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? launch(NormalizeGradient<S, int32_t>(args), stream)
                  : launch(NormalizeGradient<S, int64_t>(args), stream);
  });
}

}  // namespace freqfusion::cuda
