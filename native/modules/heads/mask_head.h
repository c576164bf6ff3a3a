#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "native/modules/fused_conv.h"
#include "native/modules/upsamplers/upsampler.h"

namespace freqfusion {

struct MaskHeadOptions {
  int64_t in_channels = 256, conv_out_channels = 256, num_convs = 4, num_classes = 80;
  bool class_agnostic = false;
  Options upsample_cfg;  // {type: 'deconv'} where empty

  // ERR_OPTION_* for a wrong value.
  static MaskHeadOptions parse(const Options& options);
};

// mmdetection's FCNMaskHead (Mask R-CNN, ICCV 2017): state convs.*.conv, upsample, conv_logits.
class MaskHead final : public Module {
 public:
  explicit MaskHead(const MaskHeadOptions& options);

  // regions [K, in_channels, h, w] in compute_type, labels int64 [K] -> logits [K, 2h, 2w] of each region's own class:
  // those of the other classes are not computed.
  at::Tensor forward(const at::Tensor& regions, const at::Tensor& labels) const;
  // Logits of every class [K, classes, 2h, 2w].
  at::Tensor forward_all(const at::Tensor& regions) const;

  // Kaiming normal (fan out, ReLU), biases 0.
  void initialize(at::Generator& generator);
  using Module::initialize;

 protected:
  void changed() override;

 private:
  // Features before the classifier: `pixels` [K, h * w * factor^2, C], where the factor * factor pixels that one pixel
  // became by deconvolution stand side by side.
  struct Features {
    at::Tensor pixels;
    int64_t height, width, factor;
  };
  Features features(const at::Tensor& regions) const;
  // values [K, pixels, M] -> [K, M, height, width].
  static at::Tensor as_maps(const at::Tensor& values, const Features& features);

  // A transposed convolution's state, weight [in, out, 2, 2].
  struct Deconv final : public Module {
    Deconv(int64_t in, int64_t out);
    at::Tensor weight, bias;
  };
  struct Classifier {
    at::Tensor weight, bias;  // [classes, C], [classes]
  };
  const Classifier& classifier() const;

  const MaskHeadOptions options_;
  std::vector<std::unique_ptr<FusedConv2d>> convs_;
  std::unique_ptr<Deconv> deconv_;        // one of the two
  std::unique_ptr<Upsampler> upsampler_;  // (neither: no upsampling)
  Conv2d conv_logits_;
  mutable std::optional<FusedConv> quadruple_;  // the deconvolution as a 1x1 convolution with four results a pixel
  mutable std::optional<Classifier> classifier_;
};

}  // namespace freqfusion
