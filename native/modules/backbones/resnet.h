#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "native/modules/layers.h"
#include "native/modules/normed_conv.h"

namespace freqfusion {

enum class ResNetStyle {
  pytorch,  // the 3x3 convolution of a bottleneck carries the stride (torchvision, mmdetection)
  caffe,    // its first 1x1 convolution does (detectron2's MSRA models)
};

struct ResNetOptions {
  int64_t depth = 50;  // 18, 34, 50, 101 or 152
  int64_t in_channels = 3;
  int64_t base_channels = 64;
  int64_t num_stages = 4;
  std::vector<int64_t> out_indices = {0, 1, 2, 3};
  ResNetStyle style = ResNetStyle::pytorch;

  // ERR_OPTION_* for a wrong value.
  static ResNetOptions parse(const Options& options);
  // Channels of stage `index`'s map, from 0.
  int64_t channels_of(int64_t index) const;
};

// ResNet (CVPR 2016) at inference, with the state dict of torchvision and mmdetection: conv1, bn1, layer1.0.conv1, ...;
// no classifier. Batch norms run on their stored statistics, folded into the convolutions.
class ResNet final : public Module {
 public:
  explicit ResNet(const ResNetOptions& options);
  ~ResNet() override;

  // image [N, in_channels, H, W] -> the maps of the stages in out_indices, each [N, channels_of(i), H / 2^(i + 2),
  // W / 2^(i + 2)], rounded up, in channels-last memory and in the type that the network computes in (compute_type:
  // float32 for 16-bit ones). ERR_SHAPE, ERR_DTYPE, ERR_DEVICE for an image that does not fit.
  std::vector<at::Tensor> forward(const at::Tensor& image) const;

  // Convolutions kaiming normal (fan out, ReLU), norms 1 and 0, but for the last norm of each block, whose weight is 0.
  void initialize(uint64_t seed) override;
  void initialize(at::Generator& generator);

  const ResNetOptions& options() const { return options_; }
  // Channels of each map that forward gives.
  std::vector<int64_t> out_channels() const;
  const at::Tensor& first_parameter() const { return stem_.conv.weight; }

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;

 protected:
  void changed() override { fused_stem_.reset(); }

 private:
  class Block;
  using Stage = std::vector<std::unique_ptr<Block>>;
  const ResNetOptions options_;
  NormedConv stem_;
  std::vector<Stage> stages_;
  mutable std::optional<FusedConv> fused_stem_;
};

// Kind "resnet". Options: depth 50, inChannels 3, baseChannels 64, numStages 4, outIndices [0, 1, 2, 3], style
// 'pytorch'; frozenStages and normEval (without effect at inference). Method forward {image} -> {c2 .. c5}, the maps
// of outIndices.
std::unique_ptr<Module> make_resnet(const Options& options);

}  // namespace freqfusion
