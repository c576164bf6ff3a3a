#include "native/ops/cuda/kernel_predictor.h"
#include "native/ops/cuda/kernel_predictor_bodies.h"

namespace freqfusion::cuda {

bool kernel_predictor_fits(const KernelPredictorArgs& a) {
  const int64_t low = a.groups * kPredictedLow * kPredictedLow, high = a.groups * kPredictedHigh * kPredictedHigh;
  const auto hr = [&](const Map& map, int64_t channels) {
    return map.data == nullptr || fits_32_bits({{map, a.batch, channels, 2 * a.height, 2 * a.width}});
  };
  const auto lr = [&](const Map& map, int64_t channels) {
    return map.data == nullptr || fits_32_bits({{map, a.batch, channels, a.height, a.width}});
  };
  return hr(a.low_hr, low) && lr(a.low_lr, low) && hr(a.mask_lr, low) && hr(a.first_mask, low) && hr(a.low, low) &&
         hr(a.high_hr, high) && lr(a.high_lr, high) && hr(a.mask_hr, high) && hr(a.high, high);
}

const char* kernel_predictor_forward(const KernelPredictorArgs& args, void* stream) {
  if (args.storage == Storage::f64) return launch(PredictKernels<double, double>(args), stream);
  switch (args.mask_storage) {
    case Storage::f16:
      return launch(PredictKernels<float, Half>(args), stream);
    case Storage::bf16:
      return launch(PredictKernels<float, BFloat16>(args), stream);
    default:
      return launch(PredictKernels<float, float>(args), stream);
  }
}

}  // namespace freqfusion::cuda
