#include "native/ops/cpu/nms_order.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "native/ops/cpu/nms_select.h"

namespace freqfusion::cpu {
namespace {

// As the scores' dtype has it, in which at::gt compares on a GPU.
double in_dtype_of(const at::Tensor& scores, double threshold) {
  return at::scalar_tensor(threshold, scores.options()).item<double>();
}

// Indices of the boxes that take part, best score first.
std::vector<int64_t> ordered(const at::Tensor& scores, double score_threshold) {
  const double least = in_dtype_of(scores, score_threshold);
  const at::Tensor values = scores.to(at::kDouble).contiguous();
  const double* score = values.const_data_ptr<double>();
  struct Entry {
    double score;
    int64_t index;
  };
  std::vector<Entry> entries;
  entries.reserve(static_cast<size_t>(values.numel()));
  for (int64_t i = 0; i < values.numel(); ++i) {
    if (score_threshold > 0 && !(score[i] > least)) continue;
    entries.push_back({std::isnan(score[i]) ? -std::numeric_limits<double>::infinity() : score[i], i});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.score != b.score ? a.score > b.score : a.index < b.index; });
  std::vector<int64_t> order;
  order.reserve(entries.size());
  for (const Entry& entry : entries) order.push_back(entry.index);
  return order;
}

template <typename A>
std::vector<int64_t> select(const at::Tensor& boxes, const std::vector<int64_t>& order, const NmsOptions& options) {
  const A* box = boxes.const_data_ptr<A>();
  SortedBoxes<A> sorted;
  const auto column = [&](std::vector<A>& to, int64_t coordinate) {
    to.reserve(order.size());
    for (const int64_t i : order) to.push_back(box[4 * i + coordinate]);
  };
  column(sorted.x1, 0);
  column(sorted.y1, 1);
  column(sorted.x2, 2);
  column(sorted.y2, 3);
  return select_boxes<A>(sorted, static_cast<A>(options.iou_threshold), static_cast<A>(options.offset),
                         options.max_num);
}

}  // namespace

at::Tensor nms_on_cpu(const at::Tensor& boxes, const at::Tensor& scores, const NmsOptions& options) {
  const std::vector<int64_t> order = ordered(scores, options.score_threshold);
  const std::vector<int64_t> kept = boxes.scalar_type() == at::kDouble
                                        ? select<double>(boxes.contiguous(), order, options)
                                        : select<float>(boxes.to(at::kFloat).contiguous(), order, options);
  const at::Tensor result = at::empty({static_cast<int64_t>(kept.size())}, boxes.options().dtype(at::kLong));
  int64_t* to = result.mutable_data_ptr<int64_t>();
  for (const int64_t place : kept) *to++ = order[static_cast<size_t>(place)];
  return result;
}

}  // namespace freqfusion::cpu
