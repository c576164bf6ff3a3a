#include "native/ops/cuda/offset_sampler.h"
#include "native/ops/cuda/offset_sampler_bodies.h"

namespace freqfusion::cuda {
namespace {

// Channels that one thread of a plane takes with one position.
constexpr int64_t kChannelBlock = 16;

Extent x_extent(const OffsetSamplerArgs& a, const Map& map) { return {map, a.batch, a.channels, a.height, a.width}; }
Extent offset_extent(const OffsetSamplerArgs& a, const Map& map) {
  return {map, a.batch, 8 * a.groups, a.height / 2, a.width / 2};
}

bool channels_last(const Map& map) { return map.channel == 1 && map.column != 1; }

template <typename S>
bool packs_channels(const OffsetSamplerArgs& args, const Map& map) {
  return map.channel == 1 && args.channels / args.groups % kPack<S> == 0 &&
         packs<S>(map, kPack<S>, {map.image, map.row, map.column});
}

template <typename S, typename I>
const char* forward(const OffsetSamplerArgs& args, void* stream) {
  if (!channels_last(args.out)) return launch(SamplerForward<S, I, false>(args, kChannelBlock, false), stream);
  if (packs_channels<S>(args, args.x) && packs_channels<S>(args, args.out)) {
    return launch(SamplerForward<S, I, true>(args, kPack<S>, true), stream);
  }
  return launch(SamplerForward<S, I, false>(args, 1, true), stream);
}

template <typename S, typename I>
const char* grad_offset(const OffsetSamplerArgs& args, void* stream) {
  return packs_channels<S>(args, args.x) && packs_channels<S>(args, args.out)
             ? launch(SamplerGradOffset<S, I, true>(args), stream)
             : launch(SamplerGradOffset<S, I, false>(args), stream);
}

template <typename S, typename I>
const char* grad_x(const OffsetSamplerArgs& args, void* stream) {
  return channels_last(args.out) ? launch(SamplerGradX<S, I>(args, 1, true), stream)
                                 : launch(SamplerGradX<S, I>(args, kChannelBlock, false), stream);
}

}  // namespace

const char* offset_sampler_forward(const OffsetSamplerArgs& args, void* stream) {
  const bool narrow =
      fits_32_bits({x_extent(args, args.x), offset_extent(args, args.offset), x_extent(args, args.out)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? forward<S, int32_t>(args, stream) : forward<S, int64_t>(args, stream);
  });
}

const char* offset_sampler_grad_offset(const OffsetSamplerArgs& args, void* stream) {
  const bool narrow = fits_32_bits({x_extent(args, args.x), offset_extent(args, args.offset), x_extent(args, args.out),
                                    offset_extent(args, args.grad_offset)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? grad_offset<S, int32_t>(args, stream) : grad_offset<S, int64_t>(args, stream);
  });
}

const char* offset_sampler_grad_x(const OffsetSamplerArgs& args, void* stream) {
  const bool narrow =
      fits_32_bits({x_extent(args, args.grad_x), offset_extent(args, args.offset), x_extent(args, args.out)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? grad_x<S, int32_t>(args, stream) : grad_x<S, int64_t>(args, stream);
  });
}

}  // namespace freqfusion::cuda
