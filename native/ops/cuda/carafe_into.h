#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/carafe.h"

namespace freqfusion::cuda {

// carafe into `output`, or own * features - carafe where `own` is not 0. The arguments are checked.
void carafe_into(const at::Tensor& output, const at::Tensor& features, const at::Tensor& masks,
                 const CarafeOptions& options, int own);

}  // namespace freqfusion::cuda
