#include "native/ops/cuda/group_norm.h"
#include "native/ops/cuda/group_norm_bodies.h"

namespace freqfusion::cuda {
namespace {

int64_t group_elements(const GroupNormArgs& args) { return args.channels / args.groups * args.height * args.width; }

Extent extent(const GroupNormArgs& args, const Map& map) {
  return {map, args.batch, args.channels, args.height, args.width};
}

template <bool chosen>
struct Chosen {
  static constexpr bool value = chosen;
};

// 16 bytes in one access, all of one channel.
template <typename S>
bool packs_pixels(const GroupNormArgs& args, const Map& map, int count) {
  return args.height * args.width % count == 0 && packs<S>(map, kPack<S>, {map.image, map.channel});
}

// Not a compile-time choice for maps of more than 2^31 elements: half the compilation for a case that hardly occurs.
template <typename S, typename I, typename F>
const char* with_packing(const GroupNormArgs& args, bool packs_output, F run) {
  const bool dense = dense_groups(args.x, args) && dense_groups(args.output, args);
  if constexpr (sizeof(I) == 4) {
    if (dense && packs_output && packs_pixels<S>(args, args.x, kPack<S>)) return run(Chosen<true>{}, dense);
  }
  return run(Chosen<false>{}, dense);
}

template <typename F>
const char* with_index(const GroupNormArgs& args, F run) {
  return fits_32_bits({extent(args, args.x), extent(args, args.output)}) ? run(int32_t{}) : run(int64_t{});
}

template <typename S, typename O, typename I>
const char* apply(const GroupNormArgs& args, void* stream) {
  const bool packs_output = packs_pixels<O>(args, args.output, kPack<S>);
  return with_packing<S, I>(args, packs_output, [&](auto packed, bool dense) {
    return launch_blocks(GroupApply<S, O, I, decltype(packed)::value>(args, dense), stream);
  });
}

}  // namespace

int64_t group_norm_parts(const GroupNormArgs& args) {
  constexpr int64_t least = kThreads * 16, wanted_blocks = 512;
  const int64_t groups = args.batch * args.groups;
  const int64_t worth = (group_elements(args) + least - 1) / least, enough = (wanted_blocks + groups - 1) / groups;
  const int64_t parts = worth < enough ? worth : enough;
  return parts < kGroupParts ? parts : kGroupParts;
}

const char* group_norm_moments(const GroupNormArgs& args, void* stream) {
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return with_index(args, [&](auto index) {
      using I = decltype(index);
      // Both passes cut a group into the same parts.
      const bool packs_output = args.output_storage == args.storage
                                    ? packs_pixels<S>(args, args.output, kPack<S>)
                                    : packs_pixels<Accumulator<S>>(args, args.output, kPack<S>);
      return with_packing<S, I>(args, packs_output, [&](auto packed, bool dense) {
        return launch_blocks(GroupMoments<S, I, decltype(packed)::value>(args, dense), stream);
      });
    });
  });
}

const char* group_norm_apply(const GroupNormArgs& args, void* stream) {
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    return with_index(args, [&](auto index) {
      using I = decltype(index);
      if constexpr (sizeof(S) == 2) {
        if (args.output_storage != args.storage) return apply<S, Accumulator<S>, I>(args, stream);
      }
      return apply<S, S, I>(args, stream);
    });
  });
}

}  // namespace freqfusion::cuda
