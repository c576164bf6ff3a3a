#pragma once

#include <memory>
#include <vector>

#include "native/modules/fused_conv.h"
#include "native/modules/image/resize.h"

namespace freqfusion {

struct SemanticFpnHeadOptions {
  int64_t num_things_classes = 80, num_stuff_classes = 53;
  int64_t in_channels = 256, inner_channels = 128, norm_groups = 32, levels = 4;

  // ERR_OPTION_* for a wrong value.
  static SemanticFpnHeadOptions parse(const Options& options);
};

// mmdetection's PanopticFPNHead (Panoptic FPN, CVPR 2019): state conv_upsample_layers.{i}.conv.{j}.{conv, gn} and
// conv_logits. Level i is brought to the finest one's size by i steps of convolution, norm, ReLU and doubling.
class SemanticFpnHead final : public Module {
 public:
  explicit SemanticFpnHead(const SemanticFpnHeadOptions& options);

  // levels [N, in_channels, H_i, W_i], each with half the sides of the one before, in compute_type -> logits
  // [N, stuff + 1, H_0, W_0]: the kinds of stuff, then things as one. ERR_SHAPE for other sizes.
  at::Tensor forward(const std::vector<at::Tensor>& levels) const;

  void initialize(at::Generator& generator);
  void initialize(uint64_t seed) override;

  const SemanticFpnHeadOptions& options() const { return options_; }

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;

 private:
  struct Step final : public Module {
    Step(int64_t in, int64_t out, int64_t groups);
    at::Tensor forward(const at::Tensor& x) const;
    FusedConv2d conv;
    GroupNorm gn;
  };

  const SemanticFpnHeadOptions options_;
  std::vector<std::vector<std::unique_ptr<Step>>> levels_;
  FusedConv2d conv_logits_;
};

// Logits at the size of the network input, cropped to the part that shows the image, at the size of the original.
at::Tensor resize_logits(const at::Tensor& logits, ImageSize network, ImageSize shown, ImageSize size);

// Kind "semantic_fpn_head". Options: numThingsClasses 80, numStuffClasses 53, inChannels 256, innerChannels 128,
// normGroups 32. Method forward {p2, p3, p4, p5}, options network, shown, size, each [h, w] -> {logits} and, where
// `size` is given, resized: the logits by resize_logits.
std::unique_ptr<Module> make_semantic_fpn_head(const Options& options);

}  // namespace freqfusion
