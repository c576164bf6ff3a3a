#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>

#include "native/ops/export.h"

namespace freqfusion {

struct BoxCoderOptions {
  std::array<double, 4> means{0, 0, 0, 0}, stds{1, 1, 1, 1};
  // Boxes are clipped to [0, width] x [0, height]: (height, width), as in img_shape.
  std::optional<std::array<double, 2>> max_shape;
  double wh_ratio_clip = 16.0 / 1000;  // sides grow or shrink by at most its inverse
  bool clip_border = true;
  bool add_center_clamp = false;  // centres move by at most center_clamp, and sides may shrink without limit
  double center_clamp = 32;
};

// Decodes (dx, dy, dw, dh): rois [..., 4], deltas [..., 4 * C] -> boxes [..., 4 * C], float32 beside 16-bit ones.
FREQFUSION_API at::Tensor delta2bbox(const at::Tensor& rois, const at::Tensor& deltas, const BoxCoderOptions& options);

// The inverse for one box each: rois and boxes [..., 4] -> deltas [..., 4]. Reads means and stds alone.
FREQFUSION_API at::Tensor bbox2delta(const at::Tensor& rois, const at::Tensor& boxes, const BoxCoderOptions& options);

}  // namespace freqfusion
