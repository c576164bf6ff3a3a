#include "native/ops/nms.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/nonzero.h>
#include <torch/library.h>

#include <vector>

#include "native/ops/cpu/nms_order.h"
#include "native/ops/cuda/device.h"
#include "native/ops/cuda/nms.h"
#include "native/ops/nms_check.h"

namespace freqfusion::cuda {
namespace {

// Above this many boxes the table of all pairs (128 MB) is larger than the sorted search of the CPU is slow.
constexpr int64_t kMostBoxes = 32768;

// Rows of the table that stay, in order.
std::vector<int64_t> select_rows(const at::Tensor& table, int64_t max_num) {
  const at::Tensor host = table.to(at::kCPU);
  const int64_t count = host.size(0), words = host.size(1);
  const int64_t* row = host.const_data_ptr<int64_t>();
  std::vector<uint64_t> dropped(static_cast<size_t>(words), 0);
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < count && (max_num < 0 || static_cast<int64_t>(kept.size()) < max_num); ++i, row += words) {
    if ((dropped[static_cast<size_t>(i / kNmsWord)] >> (i % kNmsWord)) & 1) continue;
    kept.push_back(i);
    for (int64_t w = i / kNmsWord; w < words; ++w) {
      dropped[static_cast<size_t>(w)] |= static_cast<uint64_t>(row[w]);
    }
  }
  return kept;
}

at::Tensor nms_cuda(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold, int64_t offset,
                    double score_threshold, int64_t max_num) {
  const NmsOptions options{iou_threshold, offset, score_threshold, max_num};
  check_nms(boxes, scores, options);
  const OnDevice device(boxes);
  if (boxes.size(0) > kMostBoxes) {
    return cpu::nms_on_cpu(boxes.to(at::kCPU), scores.to(at::kCPU), options).to(boxes.device());
  }
  at::Tensor order = order_by_score(scores);
  if (score_threshold > 0) {
    const at::Tensor passes = at::gt(at::index_select(scores, 0, order), score_threshold);
    order = at::index_select(order, 0, at::nonzero(passes).select(1, 0));
  }
  const int64_t count = order.size(0);
  if (count == 0) return order;
  const bool is_double = boxes.scalar_type() == at::kDouble;
  const at::Tensor sorted = at::index_select(boxes, 0, order).to(is_double ? at::kDouble : at::kFloat).contiguous();
  const at::Tensor table = at::empty({count, (count + kNmsWord - 1) / kNmsWord}, boxes.options().dtype(at::kLong));
  NmsArgs args{is_double,     sorted.const_data_ptr(),  count,
               iou_threshold, static_cast<int>(offset), static_cast<uint64_t*>(table.mutable_data_ptr())};
  check_launch(nms_table(args, device.stream()), "nms");
  const std::vector<int64_t> kept = select_rows(table, max_num);
  const at::Tensor places = at::empty({static_cast<int64_t>(kept.size())}, at::kLong);
  std::copy(kept.begin(), kept.end(), places.mutable_data_ptr<int64_t>());
  return at::index_select(order, 0, places.to(boxes.device()));
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) { m.impl("nms", freqfusion::cuda::nms_cuda); }
