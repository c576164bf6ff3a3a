#pragma once

#include <optional>

#include "native/modules/activation.h"
#include "native/modules/folding.h"

namespace freqfusion {

// mmcv's ConvModule with a 1x1 convolution: `conv`, which has a bias only where no norm follows, then group
// normalisation `gn` and ReLU where asked for.
class ConvModule final : public Module {
 public:
  // norm_groups 0 leaves the norm out. ERR_OPTION_VALUE where the groups do not divide the channels.
  ConvModule(int64_t in, int64_t out, int64_t norm_groups, Activation activation);

  // x in the type that the network computes in (compute_type).
  at::Tensor forward(const at::Tensor& x) const { return forward(x, activation_); }
  at::Tensor forward(const at::Tensor& x, Activation activation) const;

  // mmcv's start: kaiming normal (fan out, ReLU) weight, bias 0; norm 1 and 0.
  void initialize(at::Generator& generator);

  const at::Tensor& first_parameter() const { return conv_.weight; }

 protected:
  void changed() override { packed_.reset(); }

 private:
  Conv2d conv_;
  std::optional<GroupNorm> norm_;
  const Activation activation_;
  mutable std::optional<PackedPointwise> packed_;
};

}  // namespace freqfusion
