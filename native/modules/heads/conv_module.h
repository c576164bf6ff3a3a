#pragma once

#include <optional>

#include "native/modules/layers.h"

namespace freqfusion {

enum class Activation { none, relu };

// mmcv's ConvModule with a 1x1 convolution: `conv`, which has a bias only where no norm follows, then group
// normalisation `gn` and ReLU where asked for.
class ConvModule final : public Module {
 public:
  // norm_groups 0 leaves the norm out. ERR_OPTION_VALUE where the groups do not divide the channels.
  ConvModule(int64_t in, int64_t out, int64_t norm_groups, Activation activation);

  at::Tensor forward(const at::Tensor& x) const;

  // mmcv's start: kaiming normal (fan out, ReLU) weight, bias 0; norm 1 and 0.
  void initialize(at::Generator& generator);

  const at::Tensor& first_parameter() const { return conv_.weight; }

 private:
  Conv2d conv_;
  std::optional<GroupNorm> norm_;
  const Activation activation_;
};

}  // namespace freqfusion
