#include "native/ops/cpu/nms_select.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "native/ops/cpu/nms_kernels.h"

namespace freqfusion::cpu {
namespace {

bool overlaps(const NmsList<float>& list, const NmsBox<float>& box, float threshold, float offset) {
  return FREQFUSION_DISPATCH(nms_overlaps_f32)(list, box, threshold, offset);
}
bool overlaps(const NmsList<double>& list, const NmsBox<double>& box, double threshold, double offset) {
  return FREQFUSION_DISPATCH(nms_overlaps_f64)(list, box, threshold, offset);
}

// Strips of equal width from the left to the right of all boxes. A box that stays is listed in each strip that it
// touches, so that a candidate meets only boxes near it.
template <typename A>
class Strips {
 public:
  Strips(const SortedBoxes<A>& boxes, A offset) : boxes_(boxes), offset_(offset) {
    const int64_t count = static_cast<int64_t>(boxes.x1.size());
    double low = std::numeric_limits<double>::infinity(), high = -low, widths = 0;
    for (int64_t i = 0; i < count; ++i) {
      if (!finite(i)) continue;
      const double from = x1(i), to = x2(i);
      low = std::min(low, std::min(from, to));
      high = std::max(high, std::max(from, to));
      widths += std::max(0.0, to - from);
    }
    // Strips so wide that a box lies in eight of them on the average, or fewer.
    if (high > low && std::isfinite(high - low)) {
      const double most = std::min(4096.0, static_cast<double>(count) / 4 + 1);
      const double wished = 6 * static_cast<double>(count) * ((high - low) / widths);
      strips_ = static_cast<int64_t>(std::clamp(wished, 1.0, most));
      low_ = low;
      scale_ = static_cast<double>(strips_) / (high - low);
      largest_ = std::max(std::abs(low), std::abs(high));
    }
    allocate(count);
  }

  // A box that is not finite has an IoU of 0 or NaN with every other.
  bool finite(int64_t i) const {
    const auto at = static_cast<size_t>(i);
    return std::isfinite(boxes_.x1[at]) && std::isfinite(boxes_.y1[at]) && std::isfinite(boxes_.x2[at]) &&
           std::isfinite(boxes_.y2[at]);
  }

  // Does a box that stays overlap this one too much?
  bool drops(int64_t i, A threshold) const {
    const NmsBox<A> box = box_at(i);
    // Above one half the overlap is more than half of this box's width, and covers its centre.
    const bool centre = threshold >= A(0.5);
    const int64_t first = strip(centre ? (x1(i) + x2(i)) / 2 : x1(i)), last = centre ? first : strip(x2(i));
    for (int64_t s = first; s <= last; ++s) {
      const auto at = static_cast<size_t>(s);
      const A* list = room_.get() + 5 * starts_[at];
      const int64_t capacity = starts_[at + 1] - starts_[at];
      if (overlaps({list, list + capacity, list + 2 * capacity, list + 3 * capacity, list + 4 * capacity, counts_[at]},
                   box, threshold, offset_)) {
        return true;
      }
    }
    return false;
  }

  void add(int64_t i) {
    const NmsBox<A> box = box_at(i);
    const auto [first, last] = range(i);
    for (int64_t s = first; s <= last; ++s) {
      const auto at = static_cast<size_t>(s);
      const int64_t capacity = starts_[at + 1] - starts_[at];
      A* list = room_.get() + 5 * starts_[at];
      const int64_t place = counts_[at]++;
      if (place % kNmsLanes == 0) {
        for (int64_t c = 0; c < 5; ++c) {
          std::fill_n(list + c * capacity + place, kNmsLanes, std::numeric_limits<A>::quiet_NaN());
        }
      }
      list[place] = box.x1;
      list[capacity + place] = box.y1;
      list[2 * capacity + place] = box.x2;
      list[3 * capacity + place] = box.y2;
      list[4 * capacity + place] = box.area;
    }
  }

 private:
  double x1(int64_t i) const { return static_cast<double>(boxes_.x1[static_cast<size_t>(i)]); }
  double x2(int64_t i) const {
    return static_cast<double>(boxes_.x2[static_cast<size_t>(i)]) + static_cast<double>(offset_);
  }

  NmsBox<A> box_at(int64_t i) const {
    const auto at = static_cast<size_t>(i);
    const A x1 = boxes_.x1[at], y1 = boxes_.y1[at], x2 = boxes_.x2[at], y2 = boxes_.y2[at];
    return {x1, y1, x2, y2, (x2 - x1 + offset_) * (y2 - y1 + offset_)};
  }

  int64_t strip(double x) const {
    return static_cast<int64_t>(std::clamp((x - low_) * scale_, 0.0, static_cast<double>(strips_ - 1)));
  }

  // The strips that a box is listed in, somewhat more than it covers: what rounds an IoU must not hide a pair.
  std::pair<int64_t, int64_t> range(int64_t i) const {
    const double margin =
        1e-3 * std::abs(x2(i) - x1(i)) + 8 * static_cast<double>(std::numeric_limits<A>::epsilon()) * largest_;
    return {strip(x1(i) - margin), strip(x2(i) + margin)};
  }

  void allocate(int64_t count) {
    // Room for the case that all boxes stay.
    std::vector<int64_t> change(static_cast<size_t>(strips_) + 1, 0);
    for (int64_t i = 0; i < count; ++i) {
      if (!finite(i)) continue;
      const auto [first, last] = range(i);
      if (first > last) continue;
      ++change[static_cast<size_t>(first)];
      --change[static_cast<size_t>(last) + 1];
    }
    starts_.assign(static_cast<size_t>(strips_) + 1, 0);
    counts_.assign(static_cast<size_t>(strips_), 0);
    int64_t boxes = 0;
    for (size_t s = 0; s < counts_.size(); ++s) {
      boxes += change[s];
      starts_[s + 1] = starts_[s] + (boxes + kNmsLanes - 1) / kNmsLanes * kNmsLanes;
    }
    room_.reset(new A[static_cast<size_t>(5 * starts_.back())]);
  }

  const SortedBoxes<A>& boxes_;
  A offset_;
  int64_t strips_ = 1;
  double low_ = 0, scale_ = 0, largest_ = 0;
  std::vector<int64_t> starts_, counts_;  // in boxes; a strip's five arrays follow each other
  std::unique_ptr<A[]> room_;
};

}  // namespace

template <typename A>
std::vector<int64_t> select_boxes(const SortedBoxes<A>& boxes, A iou_threshold, A offset, int64_t max_num) {
  const int64_t count = static_cast<int64_t>(boxes.x1.size());
  Strips<A> strips(boxes, offset);
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < count && (max_num < 0 || static_cast<int64_t>(kept.size()) < max_num); ++i) {
    const bool finite = strips.finite(i);
    if (finite && strips.drops(i, iou_threshold)) continue;
    if (finite) strips.add(i);
    kept.push_back(i);
  }
  return kept;
}

template std::vector<int64_t> select_boxes(const SortedBoxes<float>&, float, float, int64_t);
template std::vector<int64_t> select_boxes(const SortedBoxes<double>&, double, double, int64_t);

}  // namespace freqfusion::cpu
