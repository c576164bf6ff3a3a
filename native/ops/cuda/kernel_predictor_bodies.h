#pragma once

// FreqFusion's kernels from the logits of both resolutions, in one launch: a thread owns two neighbouring output pixels
// of one group, which share their patch of the low-resolution logits, and keeps their kernels in registers from the
// logits to the masks. Nothing but the masks is written.

#include "native/ops/cuda/carafe_forward.h"
#include "native/ops/cuda/kernel_normalizer_bodies.h"
#include "native/ops/cuda/kernel_predictor.h"

namespace freqfusion::cuda {

constexpr int kPredictedPixels = 2;

// Logits of a filter with `taps` taps, and the masks made from them. T computes, S stores masks.
template <typename T, typename S, int taps>
struct PredictedFilter {
  using I = int32_t;
  View<const T, I> hr, lr;
  View<S, I> mask;
  View<T, I> logits;  // a stage; no data: not wanted
  float window[taps];

  PredictedFilter() = default;
  PredictedFilter(const Map& hr_map, const Map& lr_map, const Map& mask_map, const Map& stage, const double* side,
                  int kernel_size)
      : hr(hr_map), lr(lr_map), mask(mask_map), logits(stage) {
    for (int t = 0; t < taps; ++t) window[t] = static_cast<float>(side[t / kernel_size] * side[t % kernel_size]);
  }

  // Two pixels side by side where the map's rows are dense.
  template <typename V>
  FREQFUSION_HD static void write_pair(const View<V, I>& to, V* at, V left, V right, bool paired) {
    if (paired) {
      *reinterpret_cast<Pack<V, 2>*>(at) = {{left, right}};
    } else {
      at[0] = left;
      at[to.column] = right;
    }
  }

  template <typename V>
  FREQFUSION_HD static void write(const View<V, I>& to, V* at, const T (*values)[kPredictedPixels], bool paired) {
    FREQFUSION_UNROLL
    for (int t = 0; t < taps; ++t) {
      write_pair(to, at + t * to.channel, narrow<V>(values[t][0]), narrow<V>(values[t][1]), paired);
    }
  }

  // Softmax, window and division by the sum: kernel_normalizer in registers.
  FREQFUSION_HD void normalize(T (*values)[kPredictedPixels]) const {
    FREQFUSION_UNROLL
    for (int p = 0; p < kPredictedPixels; ++p) {
      T largest = values[0][p];
      FREQFUSION_UNROLL
      for (int t = 1; t < taps; ++t) largest = larger(largest, values[t][p]);
      T total = 0;
      FREQFUSION_UNROLL
      for (int t = 0; t < taps; ++t) {
        values[t][p] = exponential(values[t][p] - largest) * static_cast<T>(window[t]);
        total += values[t][p];
      }
      const T scale = T(1) / total;
      FREQFUSION_UNROLL
      for (int t = 0; t < taps; ++t) values[t][p] *= scale;
    }
  }
};

// T: of the logits, float or double. S: of the masks.
template <typename T, typename S>
struct PredictKernels {
  using I = int32_t;
  static constexpr int k = kPredictedLow;
  static constexpr int low_taps = k * k, high_taps = kPredictedHigh * kPredictedHigh;
  PredictedFilter<T, S, low_taps> low;
  PredictedFilter<T, S, high_taps> high;
  View<T, I> first_mask;
  I threads, groups, height, width;
  bool reflect, paired_masks, paired_stages;

  explicit PredictKernels(const KernelPredictorArgs& args)
      : low(args.low_hr, args.low_lr, args.mask_lr, args.low, args.low_side, kPredictedLow),
        high(args.high_hr, args.high_lr, args.mask_hr, args.high, args.high_side, kPredictedHigh),
        first_mask(args.first_mask),
        threads(static_cast<I>(args.batch * args.groups * 2 * args.height * args.width)),
        groups(static_cast<I>(args.groups)),
        height(static_cast<I>(args.height)),
        width(static_cast<I>(args.width)),
        reflect(args.reflect),
        paired_masks(pairs<S>(args.mask_lr) && pairs<S>(args.mask_hr)),
        paired_stages(pairs<T>(args.first_mask) && pairs<T>(args.low) && pairs<T>(args.high)) {}

  // A map that is not there stands in nobody's way.
  template <typename V>
  static bool pairs(const Map& map) {
    return map.data == nullptr || (map.column == 1 && packs<V>(map, 2, {map.image, map.channel, map.row}));
  }

  // What both pixels read of a plane of low-resolution logits.
  struct Patch {
    I rows[k], columns[k];
  };

  // Steps of a patch of `map`, relative to its plane. Outside a border of zeros they lead to the centre, and the
  // weight is 0.
  FREQFUSION_HD Patch patch_of(const View<const T, I>& map, I y, I x, uint32_t* inside) const {
    Patch patch;
    uint32_t rows_inside = 0, columns_inside = 0;
    FREQFUSION_UNROLL
    for (int i = 0; i < k; ++i) {
      const I row = tap_source<I>(y + i - k / 2, height, reflect);
      const I column = tap_source<I>(x + i - k / 2, width, reflect);
      rows_inside |= (row >= 0 ? 1u : 0u) << i;
      columns_inside |= (column >= 0 ? 1u : 0u) << i;
      patch.rows[i] = (row >= 0 ? row : y) * map.row;
      patch.columns[i] = (column >= 0 ? column : x) * map.column;
    }
    *inside = 0;
    FREQFUSION_UNROLL
    for (int t = 0; t < low_taps; ++t) *inside |= (rows_inside >> (t / k) & columns_inside >> (t % k) & 1u) << t;
    return patch;
  }

  FREQFUSION_HD static void drop_outside(uint32_t inside, T (*weights)[kPredictedPixels]) {
    FREQFUSION_UNROLL
    for (int t = 0; t < low_taps; ++t) {
      FREQFUSION_UNROLL
      for (int p = 0; p < kPredictedPixels; ++p) weights[t][p] = (inside >> t & 1u) != 0 ? weights[t][p] : T(0);
    }
  }

  // sums = the filter's logits at both pixels + its low-resolution logits, reassembled with `weights`.
  template <int taps>
  FREQFUSION_HD void reassemble(const PredictedFilter<T, S, taps>& filter, I image, I channel, I y, I x,
                                const T (*weights)[kPredictedPixels], T (*sums)[kPredictedPixels]) const {
    uint32_t unused;
    const Patch patch = patch_of(filter.lr, y, x, &unused);
    const T* plane = filter.lr.at(image, channel, 0, 0);
    FREQFUSION_UNROLL
    for (int c = 0; c < taps; ++c, plane += filter.lr.channel) {
      FREQFUSION_UNROLL
      for (int t = 0; t < low_taps; ++t) {
        const T value = read(plane + patch.rows[t / k] + patch.columns[t % k]);
        FREQFUSION_UNROLL
        for (int p = 0; p < kPredictedPixels; ++p) sums[c][p] += weights[t][p] * value;
      }
    }
  }

  template <int taps>
  FREQFUSION_HD static void read_logits(const View<const T, I>& map, const T* from, T (*values)[kPredictedPixels]) {
    FREQFUSION_UNROLL
    for (int t = 0; t < taps; ++t) {
      FREQFUSION_UNROLL
      for (int p = 0; p < kPredictedPixels; ++p) values[t][p] = read(from + t * map.channel + p * map.column);
    }
  }

  FREQFUSION_HD void operator()(I thread) const {
    const I x = thread % width;
    thread /= width;
    const I row = thread % (2 * height);
    thread /= 2 * height;
    const I group = thread % groups, image = thread / groups, y = row / 2, column = 2 * x;
    const I low_channel = group * low_taps;
    uint32_t inside;
    patch_of(low.lr, y, x, &inside);

    T weights[low_taps][kPredictedPixels], mask[low_taps][kPredictedPixels];
    read_logits<low_taps>(low.hr, low.hr.at(image, low_channel, row, column), mask);
    FREQFUSION_UNROLL
    for (int t = 0; t < low_taps; ++t) {
      FREQFUSION_UNROLL
      for (int p = 0; p < kPredictedPixels; ++p) weights[t][p] = mask[t][p];
    }
    low.normalize(weights);
    if (first_mask.data != nullptr) {
      low.write(first_mask, first_mask.at(image, low_channel, row, column), weights, paired_stages);
    }
    drop_outside(inside, weights);
    reassemble(low, image, low_channel, y, x, weights, mask);
    if (low.logits.data != nullptr) {
      low.write(low.logits, low.logits.at(image, low_channel, row, column), mask, paired_stages);
    }
    low.normalize(mask);
    low.write(low.mask, low.mask.at(image, low_channel, row, column), mask, paired_masks);
    if (high.hr.data == nullptr) return;

    const I high_channel = group * high_taps;
    T logits[high_taps][kPredictedPixels];
    read_logits<high_taps>(high.hr, high.hr.at(image, high_channel, row, column), logits);
    drop_outside(inside, mask);
    reassemble(high, image, high_channel, y, x, mask, logits);
    if (high.logits.data != nullptr) {
      high.write(high.logits, high.logits.at(image, high_channel, row, column), logits, paired_stages);
    }
    high.normalize(logits);
    high.write(high.mask, high.mask.at(image, high_channel, row, column), logits, paired_masks);
  }
};

}  // namespace freqfusion::cuda
