#include "native/ops/cpu/nms_select.h"

#include <algorithm>

namespace freqfusion::cpu {

template <typename A>
std::vector<int64_t> select_boxes(const SortedBoxes<A>& boxes, A iou_threshold, A offset, int64_t max_num) {
  const int64_t count = static_cast<int64_t>(boxes.x1.size());
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < count && (max_num < 0 || static_cast<int64_t>(kept.size()) < max_num); ++i) {
    const A area = (boxes.x2[i] - boxes.x1[i] + offset) * (boxes.y2[i] - boxes.y1[i] + offset);
    const bool dropped = std::any_of(kept.begin(), kept.end(), [&](int64_t k) {
      const A width = std::max(A(0), std::min(boxes.x2[i], boxes.x2[k]) - std::max(boxes.x1[i], boxes.x1[k]) + offset);
      const A height = std::max(A(0), std::min(boxes.y2[i], boxes.y2[k]) - std::max(boxes.y1[i], boxes.y1[k]) + offset);
      const A other = (boxes.x2[k] - boxes.x1[k] + offset) * (boxes.y2[k] - boxes.y1[k] + offset);
      const A common = width * height;
      return common / (other + area - common) > iou_threshold;
    });
    if (!dropped) kept.push_back(i);
  }
  return kept;
}

template std::vector<int64_t> select_boxes(const SortedBoxes<float>&, float, float, int64_t);
template std::vector<int64_t> select_boxes(const SortedBoxes<double>&, double, double, int64_t);

}  // namespace freqfusion::cpu
