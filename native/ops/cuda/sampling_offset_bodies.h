#pragma once

// The body of sampling_offset: the pixel unshuffle is where a thread reads, nothing is moved for it.

#include "native/ops/cuda/kernel_normalizer_bodies.h"
#include "native/ops/cuda/sampling_offset.h"

namespace freqfusion::cuda {

// 1 / (1 + e^-x), without overflow at either end.
template <typename A>
FREQFUSION_HD A sigmoid(A x) {
  const A e = exponential(x < 0 ? x : -x);
  return (x < 0 ? e : A(1)) / (A(1) + e);
}

// A thread owns two channels of one pixel: a row of a 2 x 2 block of hr. T: of the maps, P: of the initial position.
template <typename T, typename P, typename I>
struct SamplingOffset {
  View<const T, I> hr, lr;
  View<T, I> output;
  const P* start;
  int64_t start_step;
  I threads, channels, height, width;
  bool scaled;

  explicit SamplingOffset(const SamplingOffsetArgs& args)
      : hr(args.hr),
        lr(args.lr),
        output(args.output),
        start(static_cast<const P*>(args.start)),
        start_step(args.start_step),
        threads(static_cast<I>(args.batch * args.channels / 2 * args.height * args.width)),
        channels(static_cast<I>(args.channels)),
        height(static_cast<I>(args.height)),
        width(static_cast<I>(args.width)),
        scaled(args.scaled) {}

  FREQFUSION_HD void operator()(I thread) const {
    const I x = thread % width;
    thread /= width;
    const I y = thread % height;
    thread /= height;
    const I pair = thread % (channels / 2), image = thread / (channels / 2);
    // Channel 4 d + 2 i + j of the output belongs to pixel (2 y + i, 2 x + j) of hr's channel d.
    const I channel = 2 * pair, direction = pair / 2, row = 2 * y + pair % 2;
    FREQFUSION_UNROLL
    for (I j = 0; j < 2; ++j) {
      const T both = read(hr.at(image, direction, row, 2 * x + j)) + read(lr.at(image, channel + j, y, x));
      T share = T(0.25);
      if (scaled) {
        share = sigmoid(read(hr.at(image, channels / 4 + direction, row, 2 * x + j)) +
                        read(lr.at(image, channels + channel + j, y, x)));
      }
      const T from = static_cast<T>(widen(read(start + (channel + j) * start_step)));
      *output.at(image, channel + j, y, x) = both * share + from;
    }
  }
};

}  // namespace freqfusion::cuda
