#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"

namespace freqfusion {

// Where FreqFusion's offset generator reads, from its convolutions at both resolutions.
// hr [N, D, 2h, 2w] and lr [N, 4 * D, h, w] hold the directions; with `scaled` they have twice as many channels, of
// which the second half are the logits of the scales. The 2 x 2 blocks of hr go into channels (pixel unshuffle).
//   offset = (lr + hr) * sigmoid(lr_scale + hr_scale) + init_pos, or (lr + hr) / 4 + init_pos without scales
// -> [N, 4 * D, h, w], contiguous, float32 (or float64), the dtype of hr and lr. init_pos [1, 4 * D, 1, 1].
FREQFUSION_API at::Tensor sampling_offset(const at::Tensor& hr, const at::Tensor& lr, const at::Tensor& init_pos,
                                          bool scaled);

// The same checks for every backend.
void check_sampling_offset(const at::Tensor& hr, const at::Tensor& lr, const at::Tensor& init_pos, bool scaled);

}  // namespace freqfusion
