#pragma once

#include "native/modules/necks/neck.h"

namespace freqfusion {

// The feature pyramid network (CVPR 2017) as mmdetection has it: each level takes in the coarser one by nearest
// resizing, and levels beyond the given ones are every other pixel of the last result.
class Fpn final : public Neck {
 public:
  explicit Fpn(const NeckOptions& options) : Neck(options, 0) {}

 protected:
  at::Tensor join(size_t index, at::Tensor finer, const at::Tensor& coarser) const override;
  void extend(std::vector<at::Tensor>& outputs) const override;
};

}  // namespace freqfusion
