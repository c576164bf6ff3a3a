#include "native/ops/cuda/sampling_offset.h"
#include "native/ops/cuda/sampling_offset_bodies.h"

namespace freqfusion::cuda {
namespace {

template <typename T, typename P>
const char* forward(const SamplingOffsetArgs& args, void* stream) {
  const int64_t parts = args.scaled ? 2 : 1;
  const bool narrow = fits_32_bits({{args.hr, args.batch, parts * args.channels / 4, 2 * args.height, 2 * args.width},
                                    {args.lr, args.batch, parts * args.channels, args.height, args.width},
                                    {args.output, args.batch, args.channels, args.height, args.width}});
  return narrow ? launch(SamplingOffset<T, P, int32_t>(args), stream)
                : launch(SamplingOffset<T, P, int64_t>(args), stream);
}

}  // namespace

const char* sampling_offset_forward(const SamplingOffsetArgs& args, void* stream) {
  return with_storage(args.start_storage, [&](auto start) {
    using P = decltype(start);
    return args.storage == Storage::f64 ? forward<double, P>(args, stream) : forward<float, P>(args, stream);
  });
}

}  // namespace freqfusion::cuda
