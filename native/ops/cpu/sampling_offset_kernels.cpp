#include "native/ops/cpu/sampling_offset_kernels.h"

#include "native/ops/cpu/carafe_blocks.h"
#include "native/ops/cpu/kernel_normalizer_taps.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

// 1 / (1 + exp(-x)), by the exponential of -|x| alone: nothing overflows.
template <typename T>
FREQFUSION_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> one = broadcast(T(1));
  const Vec<T> tail = exp_negative(min(x, zero<T>() - x));
  const Vec<T> positive = one / (one + tail);
  return {x.v >= zero<T>().v ? positive.v : (one - positive).v};
}

// Both columns of one row of the 2 x 2 blocks: the channels 4 * quarter + 2 * i and the next one.
template <typename T>
struct Pair {
  Vec<T> left, right;
};

// lr + hr for both.
template <typename T>
FREQFUSION_INLINE Pair<T> both(const SamplingOffsetArgs& args, int64_t image, int64_t channel, int64_t y, int i,
                               int64_t x) {
  Vec<T> hr[2], left[1], right[1];
  load_columns<2>(at<const T>(args.hr, image, channel / 4, 2 * y + i, 0), args.hr.column, x, args.width, hr);
  load_columns<1>(at<const T>(args.lr, image, channel, y, 0), args.lr.column, x, args.width, left);
  load_columns<1>(at<const T>(args.lr, image, channel + 1, y, 0), args.lr.column, x, args.width, right);
  return {hr[0] + left[0], hr[1] + right[0]};
}

template <typename T>
void forward_rows(const SamplingOffsetArgs& args, int64_t begin, int64_t end) {
  constexpr int V = Vec<T>::size;
  for (int64_t index = begin; index < end; ++index) {
    const int64_t image = index / args.height, y = index % args.height;
    for (int64_t channel = 0; channel < args.channels; channel += 2) {
      const int i = static_cast<int>(channel / 2 % 2);
      const Vec<T> start[2] = {broadcast(static_cast<T>(args.init_pos[channel])),
                               broadcast(static_cast<T>(args.init_pos[channel + 1]))};
      T* to = at<T>(args.output, image, channel, y, 0);
      for (int64_t x = 0; x < args.width; x += V) {
        const Pair<T> direction = both<T>(args, image, channel, y, i, x);
        Pair<T> factor{broadcast(T(0.25)), broadcast(T(0.25))};
        if (args.scaled) {
          const Pair<T> scale = both<T>(args, image, args.channels + channel, y, i, x);
          factor = {sigmoid(scale.left), sigmoid(scale.right)};
        }
        const int lanes = static_cast<int>(smaller(V, args.width - x));
        store_partial(to + x, fma(direction.left, factor.left, start[0]), lanes);
        store_partial(to + args.output.channel + x, fma(direction.right, factor.right, start[1]), lanes);
      }
    }
  }
}

}  // namespace

void sampling_offset_forward(const SamplingOffsetArgs& args, int64_t begin, int64_t end) {
  if (args.storage == Storage::f64) return forward_rows<double>(args, begin, end);
  forward_rows<float>(args, begin, end);
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
