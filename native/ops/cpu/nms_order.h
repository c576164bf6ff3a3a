#pragma once

#include "native/ops/nms.h"

namespace freqfusion::cpu {

// nms of tensors on the CPU, arguments checked. The CUDA side gives very large sets to it.
at::Tensor nms_on_cpu(const at::Tensor& boxes, const at::Tensor& scores, const NmsOptions& options);

}  // namespace freqfusion::cpu
