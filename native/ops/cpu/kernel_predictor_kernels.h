#pragma once

#include <stdint.h>

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

struct KernelPredictorArgs {
  Storage storage = Storage::f32;       // of the logits and the stages: f32 or f64
  Storage mask_storage = Storage::f32;  // of the masks
  int64_t height = 0, width = 0;        // of lr
  int lowpass_kernel = 5, highpass_kernel = 3, groups = 1;
  bool reflect = false;
  // The masks are larger than the caches and written past them: their rows start at multiples of 64 bytes.
  bool stream = false;
  const float *low_window = nullptr, *high_window = nullptr;  // [k * k]
  Map low_hr = {}, low_lr = {}, high_hr = {}, high_lr = {};   // no data in the high ones: they are not wanted
  Map mask_lr = {}, mask_hr = {};
  Map first_mask = {}, low = {}, high = {};  // the stages; no data: not wanted
};

// Bytes of scratch that each thread needs, from a multiple of 64 on.
FREQFUSION_DECLARE_KERNEL(int64_t, kernel_predictor_scratch_bytes, (const KernelPredictorArgs&))
// Source rows [begin, end), counted through all groups of all images.
FREQFUSION_DECLARE_KERNEL(void, kernel_predictor_forward,
                          (const KernelPredictorArgs&, int64_t begin, int64_t end, void* scratch))

}  // namespace freqfusion::cpu
