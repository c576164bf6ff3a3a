#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/carafe.h"

namespace freqfusion::cpu {

// Runs carafe's forward kernels on checked arguments. own 0: output = carafe(features, masks); otherwise, for scale 1,
// output = own * features - carafe(features, masks). Channels-last outputs take the channels-last kernel.
void carafe_into(const at::Tensor& output, const at::Tensor& features, const at::Tensor& masks,
                 const CarafeOptions& options, int own);

}  // namespace freqfusion::cpu
