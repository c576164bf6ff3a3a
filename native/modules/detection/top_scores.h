#pragma once

#include <ATen/core/Tensor.h>

namespace freqfusion {

// scores [N] -> int64 indices of the `count` greatest, best first, of equal ones the lower index first; fewer where
// there are fewer. NaN is never among them. The result lies on the device of the scores.
at::Tensor top_scores(const at::Tensor& scores, int64_t count);

}  // namespace freqfusion
