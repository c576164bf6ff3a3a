#pragma once

#include <stdint.h>

#include "native/ops/cpu/isa.h"

namespace freqfusion::cpu {

// A list of boxes, one array a coordinate. The arrays go on to a multiple of kNmsLanes; boxes past the end have the
// area NaN.
template <typename A>
struct NmsList {
  const A *x1, *y1, *x2, *y2, *area;
  int64_t count;
};

template <typename A>
struct NmsBox {
  A x1, y1, x2, y2, area;
};

// Lanes of the widest vector.
constexpr int64_t kNmsLanes = 16;

// Is the IoU of the box with one of the list above the threshold? Every product and quotient is rounded by itself, as
// in the reference: a fused multiply-add would decide some pairs the other way.
FREQFUSION_DECLARE_KERNEL(bool, nms_overlaps_f32,
                          (const NmsList<float>& list, const NmsBox<float>& box, float threshold, float offset))
FREQFUSION_DECLARE_KERNEL(bool, nms_overlaps_f64,
                          (const NmsList<double>& list, const NmsBox<double>& box, double threshold, double offset))

}  // namespace freqfusion::cpu
