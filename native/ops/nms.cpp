#include "native/ops/nms.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/where.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <vector>

#include "native/ops/accumulator.h"
#include "native/ops/check.h"
#include "native/ops/nms_check.h"

namespace freqfusion {
namespace {

using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, double, int64_t, double, int64_t);

at::Tensor nms_meta(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold, int64_t offset,
                    double score_threshold, int64_t max_num) {
  check_nms(boxes, scores, {iou_threshold, offset, score_threshold, max_num});
  TORCH_CHECK_NOT_IMPLEMENTED(false, "nms has no shape function: how many boxes stay depends on their values");
}

at::Tensor rows(const at::Tensor& table, const at::Tensor& indices) { return at::index_select(table, 0, indices); }

at::Tensor first_rows(const at::Tensor& indices, int64_t max_num) {
  return max_num >= 0 && indices.size(0) > max_num ? indices.narrow(0, 0, max_num) : indices;
}

// Moves every group to coordinates of its own. In 16 bits boxes so far out would fall together.
at::Tensor apart(const at::Tensor& given, const at::Tensor& groups) {
  const at::Tensor boxes = given.to(accumulator_type(given.scalar_type()));
  // A box that is not finite must not take the others with it.
  const at::Tensor greatest = at::where(at::isfinite(boxes), boxes, -1).max();
  const at::Tensor shift = groups.to(boxes.scalar_type()) * (greatest + 1);
  return boxes + shift.unsqueeze(1);
}

// NMS of each group alone. Survivors come in order of score, equal scores by index.
at::Tensor group_by_group(const at::Tensor& boxes, const at::Tensor& scores, const at::Tensor& groups,
                          double iou_threshold) {
  const auto [sorted, order] = at::sort(groups, /*stable=*/true, 0, /*descending=*/false);
  const at::Tensor host = sorted.to(at::kCPU).contiguous();
  const int64_t* group = host.const_data_ptr<int64_t>();
  std::vector<at::Tensor> kept;
  for (int64_t begin = 0, end = 0; begin < host.size(0); begin = end) {
    while (end < host.size(0) && group[end] == group[begin]) ++end;
    const at::Tensor members = order.narrow(0, begin, end - begin);
    NmsOptions options;
    options.iou_threshold = iou_threshold;
    kept.push_back(rows(members, nms(rows(boxes, members), rows(scores, members), options)));
  }
  const at::Tensor by_index = std::get<0>(at::sort(at::cat(kept)));
  return rows(by_index, order_by_score(rows(scores, by_index)));
}

}  // namespace

at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, const NmsOptions& o) {
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::nms", "").typed<Signature>();
  return op.call(boxes, scores, o.iou_threshold, o.offset, o.score_threshold, o.max_num);
}

void check_nms(const at::Tensor& boxes, const at::Tensor& scores, const NmsOptions& options) {
  TORCH_CHECK(boxes.dim() == 2 && boxes.sym_size(1) == 4, "expected shape [N, 4] for boxes, got ", boxes.sym_sizes());
  check_floating(boxes, "boxes");
  TORCH_CHECK(scores.dim() == 1 && scores.sym_size(0) == boxes.sym_size(0), "expected shape [", boxes.sym_size(0),
              "] for scores, got ", scores.sym_sizes());
  check_floating(scores, "scores");
  TORCH_CHECK(scores.device() == boxes.device(), "expected the device of boxes (", boxes.device(), ") for scores, got ",
              scores.device());
  TORCH_CHECK(options.iou_threshold >= 0 && options.iou_threshold <= 1, "expected 0..1 for iou_threshold, got ",
              options.iou_threshold);
  check_range(options.offset, 0, 1, "offset");
  TORCH_CHECK(options.max_num >= -1, "expected -1 or more for max_num, got ", options.max_num);
}

at::Tensor order_by_score(const at::Tensor& scores) {
  const at::Tensor numbers = at::where(at::eq(scores, scores), scores, -std::numeric_limits<double>::infinity());
  return std::get<1>(at::sort(numbers, /*stable=*/true, 0, /*descending=*/true));
}

at::Tensor batched_nms(const at::Tensor& boxes, const at::Tensor& scores, const at::Tensor& groups,
                       const BatchedNmsOptions& options) {
  const NmsOptions plain{options.iou_threshold, 0, 0, options.max_num};
  check_nms(boxes, scores, plain);
  TORCH_CHECK(groups.dim() == 1 && groups.size(0) == boxes.size(0), "expected shape [", boxes.size(0),
              "] for groups, got ", groups.sizes());
  TORCH_CHECK(groups.scalar_type() == at::kLong, "expected int64 for groups, got ", groups.scalar_type());
  TORCH_CHECK(groups.device() == boxes.device(), "expected the device of boxes (", boxes.device(), ") for groups, got ",
              groups.device());
  check_range(options.split_threshold, 0, INT64_MAX, "split_threshold");
  if (options.class_agnostic || boxes.size(0) == 0) return nms(boxes, scores, plain);
  const at::Tensor separate = apart(boxes, groups);
  if (boxes.size(0) < options.split_threshold) return nms(separate, scores, plain);
  return first_rows(group_by_group(separate, scores, groups, options.iou_threshold), options.max_num);
}

MulticlassDetections multiclass_nms(const at::Tensor& boxes, const at::Tensor& scores,
                                    const MulticlassNmsOptions& options) {
  TORCH_CHECK(scores.dim() == 2 && scores.size(1) >= 2, "expected shape [N, classes + 1] for scores, got ",
              scores.sizes());
  const int64_t count = scores.size(0), classes = scores.size(1) - 1;
  TORCH_CHECK(boxes.dim() == 2 && boxes.size(0) == count && (boxes.size(1) == 4 || boxes.size(1) == 4 * classes),
              "expected shape [", count, ", 4] or [", count, ", ", 4 * classes, "] for boxes, got ", boxes.sizes());
  check_floating(boxes, "boxes");
  check_floating(scores, "scores");
  const bool shared = boxes.size(1) == 4;
  const at::Tensor foreground = scores.narrow(1, 0, classes);
  const at::Tensor chosen = at::nonzero(at::gt(foreground, options.score_threshold));  // [kept, 2], row by row
  const at::Tensor box = chosen.select(1, 0), label = chosen.select(1, 1);
  const at::Tensor index = box * classes + label;
  const at::Tensor candidates = rows(boxes.reshape({-1, 4}), shared ? box : index);
  const at::Tensor values = rows(foreground.reshape({-1}), index);
  const at::Tensor kept =
      batched_nms(candidates, values, label,
                  {options.iou_threshold, options.class_agnostic, options.split_threshold, options.max_num});
  return {rows(candidates, kept), rows(values, kept), rows(label, kept), rows(index, kept)};
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "nms(Tensor boxes, Tensor scores, float iou_threshold=0.5, int offset=0, float score_threshold=0.0, int "
      "max_num=-1) -> Tensor");
  m.def(
      "batched_nms(Tensor boxes, Tensor scores, Tensor groups, float iou_threshold=0.5, bool class_agnostic=False, int "
      "split_threshold=10000, int max_num=-1) -> Tensor",
      [](const at::Tensor& boxes, const at::Tensor& scores, const at::Tensor& groups, double iou_threshold,
         bool class_agnostic, int64_t split_threshold, int64_t max_num) {
        return freqfusion::batched_nms(boxes, scores, groups,
                                       {iou_threshold, class_agnostic, split_threshold, max_num});
      });
  m.def(
      "multiclass_nms(Tensor boxes, Tensor scores, float score_threshold=0.05, float iou_threshold=0.5, bool "
      "class_agnostic=False, int split_threshold=10000, int max_num=-1) -> (Tensor boxes, Tensor scores, Tensor "
      "labels, Tensor indices)",
      [](const at::Tensor& boxes, const at::Tensor& scores, double score_threshold, double iou_threshold,
         bool class_agnostic, int64_t split_threshold, int64_t max_num) {
        auto found = freqfusion::multiclass_nms(
            boxes, scores, {score_threshold, iou_threshold, class_agnostic, split_threshold, max_num});
        return std::make_tuple(found.boxes, found.scores, found.labels, found.indices);
      });
}

TORCH_LIBRARY_IMPL(freqfusion, Meta, m) { m.impl("nms", freqfusion::nms_meta); }

TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) { m.impl("nms", torch::autograd::autogradNotImplementedFallback()); }
