#pragma once

#include "native/modules/necks/neck.h"
#include "native/modules/upsamplers/upsampler.h"

namespace freqfusion {

// mmdetection's FPN_CARAFE: an upsampler of its own at each step down the pyramid, and a further level by a strided
// convolution that takes part in it. State as Neck's, then `upsample_modules.*`.
class FpnCarafe final : public Neck {
 public:
  // `upsample_cfg` makes each of the upsamplers (make_upsampler).
  FpnCarafe(const NeckOptions& options, const Options& upsample_cfg);
  static std::unique_ptr<Neck> make(const NeckOptions& neck, const Options& options);

  using Neck::initialize;
  void initialize(at::Generator& generator) override;

 protected:
  at::Tensor join(size_t index, at::Tensor finer, const at::Tensor& coarser) const override;

 private:
  std::vector<std::unique_ptr<Upsampler>> upsamplers_;  // null where nothing is resized
};

}  // namespace freqfusion
