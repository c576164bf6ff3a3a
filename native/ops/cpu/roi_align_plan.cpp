#include "native/ops/cpu/roi_align_plan.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace freqfusion::cpu {
namespace {

// Samples per bin that the arithmetic below keeps exact; more would be of a box of 2^40 pixels.
constexpr double kMostSamples = 1099511627776.0;

// One side of a box.
template <typename A>
struct Side {
  A start, bin;
  double samples;  // per bin, whole

  Side(A low, A high, int64_t bins, const RoiAlignOptions& options) {
    const A scale = static_cast<A>(options.spatial_scale), shift = options.aligned ? A(0.5) : A(0);
    start = low * scale - shift;
    A length = (high * scale - shift) - start;
    if (!options.aligned && length < 1) length = 1;
    bin = length / static_cast<A>(bins);
    samples = options.sampling_ratio > 0 ? static_cast<double>(options.sampling_ratio)
                                         : std::clamp(std::ceil(static_cast<double>(bin)), 0.0, kMostSamples);
  }

  bool finite() const { return std::isfinite(start) && std::isfinite(bin); }
};

// The taps of one side's bins, appended to a run. The mean over the samples is part of the weights.
template <typename A>
class SideTaps {
 public:
  // Where the taps point to `columns`, the columns that they read are appended there; otherwise they are rows.
  SideTaps(const Side<A>& side, int64_t size, RoiPlans<A>& plans, std::vector<int32_t>* columns)
      : side_(side), size_(size), plans_(plans), columns_(columns), first_column_(columns ? columns->size() : 0) {}

  void add_bins(int64_t bins) {
    const A share = side_.samples > 0 ? A(1) / static_cast<A>(side_.samples) : A(0);
    for (int64_t b = 0; b < bins; ++b) {
      first_tap_ = plans_.taps.size();
      const A origin = side_.start + static_cast<A>(b) * side_.bin;
      int64_t sample, last;
      samples_near_map(origin, sample, last);
      for (; sample < last; ++sample) {
        const A at = origin + (static_cast<A>(sample) + A(0.5)) * side_.bin / static_cast<A>(side_.samples);
        if (at >= A(-1) && at <= static_cast<A>(size_)) add_sample(at, share);
      }
      plans_.ends.push_back(static_cast<int32_t>(plans_.taps.size()));
    }
  }

 private:
  // A superset of the samples in [-1, size]: a box of any length costs no more than the map is long.
  void samples_near_map(A origin, int64_t& first, int64_t& last) const {
    const double step = static_cast<double>(side_.bin) / side_.samples;
    double low = 0, high = side_.samples;
    if (step != 0) {
      const double to_start = (-1 - static_cast<double>(origin)) / step;
      const double to_end = (static_cast<double>(size_) - static_cast<double>(origin)) / step;
      low = std::max(low, std::floor(std::min(to_start, to_end)) - 2);
      high = std::min(high, std::ceil(std::max(to_start, to_end)) + 2);
    }
    first = low < high ? static_cast<int64_t>(low) : 0;
    last = low < high ? static_cast<int64_t>(high) : 0;
  }

  void add_sample(A at, A share) {
    const A lifted = at > 0 ? at : A(0);
    const int64_t below = static_cast<int64_t>(lifted);
    if (below >= size_ - 1) {
      add_tap(size_ - 1, share);
    } else {
      const A fraction = lifted - static_cast<A>(below);
      add_tap(below, (1 - fraction) * share);
      add_tap(below + 1, fraction * share);
    }
  }

  void add_tap(int64_t position, A weight) {
    const int32_t place = columns_ ? column_place(static_cast<int32_t>(position)) : static_cast<int32_t>(position);
    // Neighbouring samples share rows.
    const size_t count = plans_.taps.size();
    for (size_t back = 1; back <= 2 && first_tap_ + back <= count; ++back) {
      if (plans_.taps[count - back] == place) {
        plans_.weights[count - back] += weight;
        return;
      }
    }
    plans_.taps.push_back(place);
    plans_.weights.push_back(weight);
  }

  // Bins come in order, so a column that was seen before is one of the last two. Where a box runs backwards it may
  // be listed twice, which costs time alone.
  int32_t column_place(int32_t column) {
    const size_t count = columns_->size();
    for (size_t back = 1; back <= 2 && first_column_ + back <= count; ++back) {
      if ((*columns_)[count - back] == column) return static_cast<int32_t>(count - back - first_column_);
    }
    columns_->push_back(column);
    return static_cast<int32_t>(count - first_column_);
  }

  const Side<A>& side_;
  int64_t size_;
  RoiPlans<A>& plans_;
  std::vector<int32_t>* columns_;
  size_t first_column_, first_tap_ = 0;
};

}  // namespace

void check_image_index(double image, int64_t images, int64_t index) {
  TORCH_CHECK(image >= 0 && image < static_cast<double>(images), "expected an image index below ", images, " for rois[",
              index, "][0], got ", image);
}

template <typename A>
void RoiPlans<A>::add(const A* roi, int64_t step, const RoiSource& source, int64_t index,
                      const RoiAlignOptions& options) {
  check_image_index(static_cast<double>(roi[0]), source.images, index);
  RoiAlignOptions scaled = options;
  scaled.spatial_scale = source.spatial_scale;
  const Side<A> x(roi[step], roi[3 * step], options.out_width, scaled);
  const Side<A> y(roi[2 * step], roi[4 * step], options.out_height, scaled);
  RoiPlan plan{};
  plan.map = source.map;
  plan.image = static_cast<int64_t>(roi[0]);
  plan.index = index;
  plan.width = source.width;
  plan.first_end = static_cast<int64_t>(ends.size());
  plan.first_tap = static_cast<int64_t>(taps.size());
  plan.first_column = static_cast<int64_t>(columns.size());
  plan.finite = x.finite() && y.finite();
  // A box without area reads nothing.
  if (plan.finite && source.height > 0 && source.width > 0 && x.samples > 0 && y.samples > 0) {
    SideTaps<A>(y, source.height, *this, nullptr).add_bins(options.out_height);
    SideTaps<A>(x, source.width, *this, &columns).add_bins(options.out_width);
  } else {
    ends.resize(ends.size() + static_cast<size_t>(options.out_height + options.out_width),
                static_cast<int32_t>(taps.size()));
  }
  plan.columns = static_cast<int64_t>(columns.size()) - plan.first_column;
  plan.neighbours = true;
  for (int64_t i = 1; i < plan.columns; ++i) {
    const int32_t* column = columns.data() + plan.first_column + i;
    if (column[0] != column[-1] + 1) plan.neighbours = false;
  }
  most_columns = std::max(most_columns, plan.columns);
  rois.push_back(plan);
}

template struct RoiPlans<float>;
template struct RoiPlans<double>;

}  // namespace freqfusion::cpu
