#pragma once

#include <cstdint>
#include <vector>

namespace freqfusion::cpu {

// Boxes in order of score, one array a coordinate: A is float or double.
template <typename A>
struct SortedBoxes {
  std::vector<A> x1, y1, x2, y2;
};

// Greedy selection: places in `boxes` that stay, ascending, at most max_num of them (-1 = all).
template <typename A>
std::vector<int64_t> select_boxes(const SortedBoxes<A>& boxes, A iou_threshold, A offset, int64_t max_num);

extern template std::vector<int64_t> select_boxes(const SortedBoxes<float>&, float, float, int64_t);
extern template std::vector<int64_t> select_boxes(const SortedBoxes<double>&, double, double, int64_t);

}  // namespace freqfusion::cpu
