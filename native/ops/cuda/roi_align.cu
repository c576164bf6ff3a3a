#include "native/ops/cuda/roi_align.h"
#include "native/ops/cuda/roi_align_bodies.h"

namespace freqfusion::cuda {
namespace {

// Channels that one thread of a plane takes with one bin.
constexpr int kPlaneChannels = 4;

Extent map_extent(const RoiAlignArgs& a, const Map& map) { return {map, a.images, a.channels, a.height, a.width}; }
Extent out_extent(const RoiAlignArgs& a) { return {a.out, a.boxes, a.channels, a.out_height, a.out_width}; }

template <typename S>
bool packs_channels(const RoiAlignArgs& args, const Map& map) {
  return map.channel == 1 && args.channels % kPack<S> == 0 && packs<S>(map, kPack<S>, {map.image, map.row, map.column});
}

template <typename S, typename I>
const char* forward(const RoiAlignArgs& args, void* stream) {
  if (packs_channels<S>(args, args.features) && packs_channels<S>(args, args.out)) {
    return launch(RoiForward<S, I, true, kPack<S>>(args, true), stream);
  }
  if (args.features.channel == 1) return launch(RoiForward<S, I, false, 1>(args, true), stream);
  return launch(RoiForward<S, I, false, kPlaneChannels>(args, false), stream);
}

}  // namespace

const char* roi_align_forward(const RoiAlignArgs& args, void* stream) {
  const bool narrow = fits_32_bits({map_extent(args, args.features), out_extent(args)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? forward<S, int32_t>(args, stream) : forward<S, int64_t>(args, stream);
  });
}

const char* roi_align_backward(const RoiAlignArgs& args, void* stream) {
  const bool narrow = fits_32_bits({map_extent(args, args.sums), out_extent(args)});
  const bool fastest = args.out.channel == 1;
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? launch(RoiBackward<S, int32_t>(args, fastest), stream)
                  : launch(RoiBackward<S, int64_t>(args, fastest), stream);
  });
}

}  // namespace freqfusion::cuda
