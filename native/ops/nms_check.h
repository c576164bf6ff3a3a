#pragma once

// What the backends of nms share.

#include "native/ops/nms.h"

namespace freqfusion {

// Throws c10::Error.
void check_nms(const at::Tensor& boxes, const at::Tensor& scores, const NmsOptions& options);

// int64 [N]: best first, equal scores by index, NaN last.
at::Tensor order_by_score(const at::Tensor& scores);

}  // namespace freqfusion
