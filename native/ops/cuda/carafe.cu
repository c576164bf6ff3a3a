// Chooses the kernel for a call of carafe, high_pass or their gradients: by layout, kernel size and channels.

#include "native/ops/cuda/carafe.h"
#include "native/ops/cuda/carafe_backward.h"
#include "native/ops/cuda/carafe_forward.h"

namespace freqfusion::cuda {
namespace {

Extent feature_extent(const CarafeArgs& a, const Map& map) { return {map, a.batch, a.channels, a.height, a.width}; }
Extent output_extent(const CarafeArgs& a, const Map& map) {
  return {map, a.batch, a.channels, a.height * a.scale, a.width * a.scale};
}
Extent mask_extent(const CarafeArgs& a, const Map& map) {
  return {map, a.batch, int64_t{a.groups} * a.kernel_size * a.kernel_size, a.height * a.scale, a.width * a.scale};
}

bool channels_last(const Map& map) { return map.channel == 1 && map.column != 1; }

// 16 bytes of channels in one access, in every pixel and every group.
template <typename S>
bool packs_channels(const Map& map, int64_t group_channels) {
  return map.channel == 1 && group_channels % kPack<S> == 0 &&
         packs<S>(map, kPack<S>, {map.image, map.row, map.column});
}

// Maps of more than 2^31 elements have the plain kernels alone: half the compilation for a case that hardly occurs.
template <typename I>
constexpr bool packing = sizeof(I) == 4;

template <typename S, typename I, int scale>
const char* forward_taps(const CarafeArgs& args, void* stream) {
  const int64_t group_channels = args.channels / args.groups;
  if (!channels_last(args.output) || args.features.channel != 1) {
    return launch(CarafeTaps<S, I, scale, 4, false, false>(args), stream);
  }
  if constexpr (packing<I>) {
    if (packs_channels<S>(args.features, group_channels) && packs_channels<S>(args.output, group_channels)) {
      return launch(CarafeTaps<S, I, scale, kPack<S>, true, true>(args), stream);
    }
  }
  return launch(CarafeTaps<S, I, scale, 1, true, false>(args), stream);
}

// Channels of one thread: many, as every thread loads its weights first, but few enough to fill a large card.
int64_t channel_block(const CarafeArgs& args) {
  constexpr int64_t wanted_threads = 1 << 17;
  const int64_t group_channels = args.channels / args.groups;
  const int64_t pixels = args.batch * args.groups * args.height * args.width;
  const int64_t blocks = (wanted_threads + pixels - 1) / pixels;
  const int64_t block = (group_channels + blocks - 1) / blocks;
  const int64_t bounded = block < 8 ? 8 : block > 64 ? 64 : block;
  return bounded < group_channels ? bounded : group_channels;
}

// Kernels with compile-time sizes, for 32-bit offsets; false where this call is none of them.
template <typename S, int scale>
bool forward_special(const CarafeArgs& args, void* stream, const char** status) {
  const int64_t group_channels = args.channels / args.groups;
  if (group_channels == 9) {
    *status = launch(CarafeTaps<S, int32_t, scale, 9, false, false>(args), stream);
  } else if (group_channels == 25) {
    *status = launch(CarafeTaps<S, int32_t, scale, 25, false, false>(args), stream);
  } else if (channels_last(args.output)) {
    return false;
  } else if (args.kernel_size == 3) {
    *status = launch(CarafeWeights<S, 3, scale>(args, channel_block(args)), stream);
  } else if (args.kernel_size == 5) {
    *status = launch(CarafeWeights<S, 5, scale>(args, channel_block(args)), stream);
  } else {
    return false;
  }
  return true;
}

template <typename S, typename I>
const char* forward_scale(const CarafeArgs& args, void* stream) {
  if constexpr (sizeof(I) == 4 && sizeof(S) != 8) {
    const char* status = nullptr;
    if (args.scale == 1 && forward_special<S, 1>(args, stream, &status)) return status;
    if (args.scale == 2 && forward_special<S, 2>(args, stream, &status)) return status;
  }
  switch (args.scale) {
    case 1:
      return forward_taps<S, I, 1>(args, stream);
    case 2:
      return forward_taps<S, I, 2>(args, stream);
    case 3:
      return forward_taps<S, I, 3>(args, stream);
    default:
      return forward_taps<S, I, 4>(args, stream);
  }
}

template <typename S, typename I>
const char* grad_features(const CarafeArgs& args, void* stream) {
  const int64_t group_channels = args.channels / args.groups;
  if (!channels_last(args.grad_features)) {
    return launch(CarafeGradFeatures<S, I, 8, false, false>(args), stream);
  }
  if constexpr (packing<I>) {
    if (packs_channels<S>(args.grad_features, group_channels) && packs_channels<S>(args.output, group_channels)) {
      return launch(CarafeGradFeatures<S, I, kPack<S>, true, true>(args), stream);
    }
  }
  return launch(CarafeGradFeatures<S, I, 1, true, false>(args), stream);
}

template <typename S, typename I, int scale>
const char* grad_masks(const CarafeArgs& args, void* stream) {
  const int64_t group_channels = args.channels / args.groups;
  if constexpr (packing<I>) {
    if (packs_channels<S>(args.features, group_channels) && packs_channels<S>(args.output, group_channels)) {
      return launch(CarafeGradMasks<S, I, scale, true>(args), stream);
    }
  }
  return launch(CarafeGradMasks<S, I, scale, false>(args), stream);
}

template <typename S, typename I>
const char* grad_masks_scale(const CarafeArgs& args, void* stream) {
  switch (args.scale) {
    case 1:
      return grad_masks<S, I, 1>(args, stream);
    case 2:
      return grad_masks<S, I, 2>(args, stream);
    case 3:
      return grad_masks<S, I, 3>(args, stream);
    default:
      return grad_masks<S, I, 4>(args, stream);
  }
}

}  // namespace

const char* carafe_forward(const CarafeArgs& args, void* stream) {
  const bool narrow = fits_32_bits(
      {feature_extent(args, args.features), mask_extent(args, args.masks), output_extent(args, args.output)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? forward_scale<S, int32_t>(args, stream) : forward_scale<S, int64_t>(args, stream);
  });
}

const char* carafe_grad_features(const CarafeArgs& args, void* stream) {
  const bool narrow = fits_32_bits(
      {feature_extent(args, args.grad_features), mask_extent(args, args.masks), output_extent(args, args.output)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? grad_features<S, int32_t>(args, stream) : grad_features<S, int64_t>(args, stream);
  });
}

const char* carafe_grad_masks(const CarafeArgs& args, void* stream) {
  const bool narrow = fits_32_bits(
      {feature_extent(args, args.features), mask_extent(args, args.grad_masks), output_extent(args, args.output)});
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return narrow ? grad_masks_scale<S, int32_t>(args, stream) : grad_masks_scale<S, int64_t>(args, stream);
  });
}

}  // namespace freqfusion::cuda
