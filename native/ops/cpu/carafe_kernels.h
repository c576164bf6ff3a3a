#pragma once

#include <stdint.h>

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

struct CarafeArgs {
  Storage storage = Storage::f32;
  int64_t batch = 0, channels = 0, height = 0, width = 0;  // of the features
  int kernel_size = 5, groups = 1, scale = 2;
  bool reflect = false;
  // Forward, scale 1: 0 writes the weighted sum; otherwise own * feature - sum is written, the high-pass filters.
  int own = 0;
  // `output` may be written past the caches: rows of all channels start at multiples of 64 bytes.
  bool stream = false;
  Map features = {}, masks = {};
  Map output = {};  // the output's gradient in the backward kernels
  Map grad_features = {}, grad_masks = {};
};

// Source rows [row_begin, row_end) of one image and channels [channel_begin, channel_end), all of them of `group`.
struct CarafeTask {
  int64_t batch, group, channel_begin, channel_end, row_begin, row_end;
};

// Bytes of scratch that each of the kernels below may use in every thread, from a multiple of 64 on.
FREQFUSION_DECLARE_KERNEL(int64_t, carafe_scratch_bytes, (const CarafeArgs&))

// NCHW kernels take any strides and are fast where neighbouring columns are neighbours in memory.
FREQFUSION_DECLARE_KERNEL(void, carafe_forward, (const CarafeArgs&, const CarafeTask&, void* scratch))
FREQFUSION_DECLARE_KERNEL(void, carafe_grad_features, (const CarafeArgs&, const CarafeTask&, void* scratch))
FREQFUSION_DECLARE_KERNEL(void, carafe_grad_masks, (const CarafeArgs&, const CarafeTask&, void* scratch))
// NHWC kernels want stride 1 along the channels of the features, the output and grad_features.
FREQFUSION_DECLARE_KERNEL(void, carafe_forward_nhwc, (const CarafeArgs&, const CarafeTask&, void* scratch))
FREQFUSION_DECLARE_KERNEL(void, carafe_grad_features_nhwc, (const CarafeArgs&, const CarafeTask&, void* scratch))
FREQFUSION_DECLARE_KERNEL(void, carafe_grad_masks_nhwc, (const CarafeArgs&, const CarafeTask&, void* scratch))

}  // namespace freqfusion::cpu
