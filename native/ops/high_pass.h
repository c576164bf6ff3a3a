#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/carafe.h"
#include "native/ops/export.h"

namespace freqfusion {

// What a content-aware low-pass filter leaves of a map, in one pass over memory: x - carafe(x, masks), and with
// `residual` added to the map itself: 2 x - carafe(x, masks). options.scale is 1; masks [N, groups*k*k, H, W].
FREQFUSION_API at::Tensor high_pass(const at::Tensor& x, const at::Tensor& masks, const CarafeOptions& options,
                                    bool residual);

// The same, written into `output`: any strides, no memory shared with the inputs. No gradients.
FREQFUSION_API void high_pass_out(const at::Tensor& output, const at::Tensor& x, const at::Tensor& masks,
                                  const CarafeOptions& options, bool residual);

}  // namespace freqfusion
