#include "native/ops/nms.h"

#include <torch/library.h>

#include "native/ops/cpu/nms_order.h"
#include "native/ops/nms_check.h"

namespace freqfusion::cpu {
namespace {

at::Tensor nms_cpu(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold, int64_t offset,
                   double score_threshold, int64_t max_num) {
  const NmsOptions options{iou_threshold, offset, score_threshold, max_num};
  check_nms(boxes, scores, options);
  return nms_on_cpu(boxes, scores, options);
}

}  // namespace
}  // namespace freqfusion::cpu

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("nms", freqfusion::cpu::nms_cpu); }
