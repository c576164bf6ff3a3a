#include "native/ops/cuda/pointwise_bodies.h"

namespace freqfusion::cuda {
namespace {

template <typename S>
bool packs_rows(const void* data, int64_t pixel) {
  return data == nullptr || packs<S>(Map{const_cast<void*>(data), 0, 1, 0, pixel}, kPack<S>, {pixel});
}

template <typename S>
const char* epilogue(const EpilogueArgs& args, void* stream) {
  const auto fits = [&](int64_t pixel) { return args.pixels * pixel < INT32_MAX - 2 * kThreads; };
  if (!fits(args.channels) || !fits(args.factor_pixel) || !fits(args.residual_pixel)) {
    return launch(PointwiseEpilogue<S, int64_t, false>(args), stream);
  }
  const bool packed = packs_rows<S>(args.y, args.channels) && packs_rows<S>(args.factor, args.factor_pixel) &&
                      packs_rows<S>(args.residual, args.residual_pixel) && packs_rows<S>(args.residual_scale, 0);
  return packed ? launch(PointwiseEpilogue<S, int32_t, true>(args), stream)
                : launch(PointwiseEpilogue<S, int32_t, false>(args), stream);
}

}  // namespace

const char* pointwise_epilogue(const EpilogueArgs& args, void* stream) {
  return with_storage(args.storage, [&](auto value) { return epilogue<decltype(value)>(args, stream); });
}

}  // namespace freqfusion::cuda
