#pragma once

#include "native/modules/fusion/freqfusion.h"
#include "native/modules/necks/neck.h"

namespace freqfusion {

// mmdetection's FreqFusionCARAFEFPN, the neck of FreqFusion's detectors: a FreqFusion at each step down the pyramid,
// and a fifth level by a strided convolution that takes part in it. State as Neck's, then `alignment.*`, one for each
// of in_channels, whether num_outs leaves it work or not. Levels must halve exactly: images of multiples of 64.
class FpnFreqFusion final : public Neck {
 public:
  // ERR_OPTION_VALUE where num_outs asks for more than one further level: the reference has no module for it.
  FpnFreqFusion(const NeckOptions& options, const FreqFusionOptions& fusion);
  static std::unique_ptr<Neck> make(const NeckOptions& neck, const Options& options);

  using Neck::initialize;
  void initialize(at::Generator& generator) override;

 protected:
  at::Tensor join(size_t index, at::Tensor finer, const at::Tensor& coarser) const override;

 private:
  std::vector<std::unique_ptr<FreqFusion>> alignment_;
};

}  // namespace freqfusion
