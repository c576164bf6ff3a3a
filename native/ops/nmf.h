#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"

namespace freqfusion {

// Non-negative matrix factorisation X ~ A F^T by multiplicative updates, with a fixed number of steps (Hamburger, ICLR
// 2021). x [B, N, D] holds N pixels of D features, bases [B, D, R] the start of F; A starts as softmax(X F) over R.
// One step: A = A * (X F) / (A (F^T F) + 1e-6), then F = F * (X^T A) / (F (A^T A) + 1e-6). After `steps` of them A is
// updated once more. Returns A F^T [B, N, D].
// float32 or float64 throughout; the result does not depend on the number of threads.
FREQFUSION_API at::Tensor nmf(const at::Tensor& x, const at::Tensor& bases, int64_t steps);

// The same checks for every backend. Throws c10::Error.
void check_nmf(const at::Tensor& x, const at::Tensor& bases, int64_t steps);

}  // namespace freqfusion
