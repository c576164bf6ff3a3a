#include "native/ops/cuda/depthwise.h"
#include "native/ops/cuda/depthwise_bodies.h"

namespace freqfusion::cuda {
namespace {

bool fits(const DepthwiseArgs& a, const Map& map) {
  return map.data == nullptr || fits_32_bits({{map, a.batch, a.channels, a.height, a.width}});
}

template <typename S>
bool packs_channels(const Map& map) {
  return map.data == nullptr || packs<S>(map, kPack<S>, {map.image, map.row, map.column});
}

template <typename S, typename I, bool chosen>
struct Kind {
  using Value = S;
  using Index = I;
  static constexpr bool packed = chosen;
};

// Calls run with a Kind. 16 bytes of channels never cross a panel of 16.
template <typename F>
const char* with_kind(const DepthwiseArgs& args, F run) {
  return with_storage(args.storage, [&](auto value) {
    using S = decltype(value);
    bool narrow = fits(args, args.x) && fits(args, args.output);
    bool packed = packs_channels<S>(args.x) && packs_channels<S>(args.output) && args.channels % kPack<S> == 0 &&
                  packs_channels<S>(Map{const_cast<void*>(args.weight), 0, 1, 0, 0}) &&
                  packs_channels<S>(Map{const_cast<void*>(args.bias), 0, 1, 0, 0});
    for (const Map& strip : args.strips) {
      narrow = narrow && fits(args, strip);
      packed = packed && packs_channels<S>(strip);
    }
    if (!narrow) return run(Kind<S, int64_t, false>{});
    return packed ? run(Kind<S, int32_t, true>{}) : run(Kind<S, int32_t, false>{});
  });
}

}  // namespace

const char* depthwise_gelu(const DepthwiseArgs& args, void* stream) {
  return with_kind(args, [&](auto kind) {
    using K = decltype(kind);
    return launch(DepthwiseSquare<typename K::Value, typename K::Index, K::packed, 3, true>(args), stream);
  });
}

const char* strips_square(const DepthwiseArgs& args, void* stream) {
  return with_kind(args, [&](auto kind) {
    using K = decltype(kind);
    return launch(DepthwiseSquare<typename K::Value, typename K::Index, K::packed, 5, false>(args), stream);
  });
}

const char* strips_horizontal(const DepthwiseArgs& args, void* stream) {
  return with_kind(args, [&](auto kind) {
    using K = decltype(kind);
    return launch(HorizontalStrips<typename K::Value, typename K::Index, K::packed>(args), stream);
  });
}

const char* strips_vertical(const DepthwiseArgs& args, void* stream) {
  return with_kind(args, [&](auto kind) {
    using K = decltype(kind);
    return launch(VerticalStrips<typename K::Value, typename K::Index, K::packed>(args), stream);
  });
}

}  // namespace freqfusion::cuda
