#include "native/ops/cuda/local_similarity.h"
#include "native/ops/cuda/local_similarity_bodies.h"

namespace freqfusion::cuda {
namespace {

Extent x_extent(const LocalSimilarityArgs& a, const Map& map) { return {map, a.batch, a.channels, a.height, a.width}; }
Extent tap_extent(const LocalSimilarityArgs& a, const Map& map) {
  return {map, a.batch, a.kernel_size * a.kernel_size - 1, a.height, a.width};
}

template <typename S>
bool packs_channels(const LocalSimilarityArgs& args, const Map& map) {
  return map.channel == 1 && args.channels % kPack<S> == 0 && packs<S>(map, kPack<S>, {map.image, map.row, map.column});
}

template <typename S, typename I>
const char* forward(const LocalSimilarityArgs& args, void* stream) {
  return packs_channels<S>(args, args.x) ? launch(SimilarityForward<S, I, true>(args), stream)
                                         : launch(SimilarityForward<S, I, false>(args), stream);
}

template <typename S, typename I>
const char* backward(const LocalSimilarityArgs& args, void* stream) {
  return packs_channels<S>(args, args.x) && packs_channels<S>(args, args.out)
             ? launch(SimilarityBackward<S, I, true>(args), stream)
             : launch(SimilarityBackward<S, I, false>(args), stream);
}

}  // namespace

const char* local_similarity_forward(const LocalSimilarityArgs& args, void* stream) {
  const bool narrow = fits_32_bits({x_extent(args, args.x), tap_extent(args, args.out)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? forward<S, int32_t>(args, stream) : forward<S, int64_t>(args, stream);
  });
}

const char* local_similarity_backward(const LocalSimilarityArgs& args, void* stream) {
  const bool narrow =
      fits_32_bits({x_extent(args, args.x), tap_extent(args, args.grad_output), x_extent(args, args.out)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? backward<S, int32_t>(args, stream) : backward<S, int64_t>(args, stream);
  });
}

}  // namespace freqfusion::cuda
