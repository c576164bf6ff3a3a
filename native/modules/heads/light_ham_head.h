#pragma once

#include <memory>
#include <vector>

#include "native/modules/fusion/freqfusion.h"
#include "native/modules/heads/hamburger.h"

namespace freqfusion {

struct LightHamHeadOptions {
  bool freq_aware = false;  // LightHamHeadFreqAware: FreqFusion joins the levels instead of bilinear resizing
  std::vector<int64_t> in_channels = {64, 160, 256};  // finest first
  std::vector<int64_t> in_index = {1, 2, 3};          // which of the backbone's maps those are
  int64_t channels = 256;
  int64_t num_classes = 150;
  bool align_corners = false;  // of every bilinear resize
  HamburgerOptions ham = {.ham_channels = 256};
  // Of the frequency-aware head alone.
  int64_t compress_ratio = 4;
  bool low2high_residual = false;
  bool high2low_residual = false;
  FreqFusionOptions fusion;  // of every level; its channel counts are set by the head

  // ERR_OPTION_* for a wrong value.
  static LightHamHeadOptions parse(const Options& options);
};

// The decode head of SegNeXt. The backbone's maps are brought to the finest one's size and joined, either by
// bilinear resizing (LightHamHead) or by one FreqFusion a level, from the coarsest up (LightHamHeadFreqAware); then
// follow `squeeze`, `hamburger`, `align` and `conv_seg`. Dropout is the identity at inference.
//
// Frequency-aware joining: with feature_resample the channels of hr and lr are joined group by group, otherwise (and
// with low2high_residual) plainly, hr first. low2high_residual adds low2high_convs.i (1x1, lr's channels to hr's) of
// the upsampled lr to hr; high2low_residual only registers high2low_convs.i (1x1, hr's channels to lr's): the
// reference builds them and never uses them.
class LightHamHead final : public Module {
 public:
  // ERR_OPTION_VALUE for options that do not fit each other.
  explicit LightHamHead(const LightHamHeadOptions& options);

  // levels: the maps of in_channels, finest first, in the network's dtype or the one that it computes in -> logits
  // [N, num_classes, H, W] at the finest map's size.
  // Stages: ff0MaskLr, ff0HrFeat, ff0LrFeat, ff1... (frequency-aware), squeeze, hamIn, nmf, hamburger, align.
  at::Tensor forward(const std::vector<at::Tensor>& levels, const at::Tensor& nmf_bases, Trace* stages = nullptr) const;

  // mmcv's start for the convolutions with norm, FreqFusion's own, normal(0, 0.01) for conv_seg.
  void initialize(uint64_t seed) override;
  void initialize(at::Generator& generator);

  const LightHamHeadOptions& options() const { return options_; }

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;

 protected:
  void changed() override { classifier_.reset(); }

 private:
  void build_fusions();
  at::Tensor join(const std::vector<at::Tensor>& levels, Trace* stages) const;
  at::Tensor join_resized(const std::vector<at::Tensor>& levels) const;
  at::Tensor concat(const at::Tensor& hr, const at::Tensor& lr) const;

  const LightHamHeadOptions options_;
  Conv2d conv_seg_;
  mutable std::optional<PackedPointwise> classifier_;  // conv_seg
  ConvModule squeeze_;
  Hamburger hamburger_;
  ConvModule align_;
  // One entry a step, coarsest first.
  std::vector<std::unique_ptr<FreqFusion>> fusions_;
  std::vector<std::unique_ptr<Conv2d>> low2high_convs_, high2low_convs_;
};

// Kind "light_ham_head". Options, by the reference's names: type ('LightHamHead' or 'LightHamHeadFreqAware', the
// default), inChannels, inIndex, channels 256, hamChannels (channels), hamKwargs, numClasses 150, normGroups 32,
// alignCorners false, dropoutRatio (without effect); and for the frequency-aware head compressRatio 4,
// low2highResidual, high2lowResidual and FreqFusion's options with the released config's defaults: featureResample
// true, hammingWindow false, directionFeat 'sim', sizePolicy 'pad'.
// Method forward {x1 .. xL, nmfBases?}, option `stages` -> {logits}.
std::unique_ptr<Module> make_light_ham_head(const Options& options);

}  // namespace freqfusion
