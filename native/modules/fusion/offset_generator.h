#pragma once

#include <memory>
#include <optional>

#include "native/modules/layers.h"

namespace freqfusion {

// What the offset convolutions see: the local similarities alone (the SegNeXt copy of FreqFusion), or the features
// followed by the similarities (every other copy).
enum class DirectionFeat { sim, sim_concat };
DirectionFeat parse_direction_feat(const Options& options);  // option `directionFeat`, default sim_concat

struct OffsetGeneratorOptions {
  int64_t in_channels = 0;
  int64_t groups = 4;
  int64_t kernel_size = 1;   // of all convolutions, odd
  int64_t local_window = 3;  // of the similarity, odd; its dilation is always 2
  bool direct_scale = true;
  bool norm = true;
  DirectionFeat direction_feat = DirectionFeat::sim_concat;
};

// LocalSimGuidedSampler of FreqFusion.py: finds, from the local similarity of high- and low-resolution features,
// where each output pixel should read an already upsampled map, and reads it there.
class OffsetGenerator final : public Module {
 public:
  struct Result {
    at::Tensor offset;  // [N, 8 * groups, h, w], initial position included, in low-resolution pixels
    at::Tensor output;  // [N, Cf, 2h, 2w]
  };

  explicit OffsetGenerator(const OffsetGeneratorOptions& options);

  // hr_x [N, C, 2h, 2w], lr_x [N, C, h, w], feat2sample [N, Cf, 2h, 2w] with Cf a multiple of the groups: the offset,
  // and feat2sample resampled there. Stages: hrSim, lrSim (what the offset convolutions see), offset.
  Result forward(const at::Tensor& hr_x, const at::Tensor& lr_x, const at::Tensor& feat2sample,
                 Trace* stages = nullptr) const;
  // The same for maps that are known to fit; hr_x and lr_x may be float32 whatever the module's dtype.
  Result sample(const at::Tensor& hr_x, const at::Tensor& lr_x, const at::Tensor& feat2sample,
                Trace* stages = nullptr) const;

  // Alone: offsets normal(0, 0.001), scales 0. FreqFusion overrides that with fill_xavier.
  void initialize(uint64_t seed) override;
  void fill_xavier(at::Generator& generator);

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;

 protected:
  void changed() override {
    joined_hr_.reset();
    joined_lr_.reset();
  }

 private:
  // The inputs of the offset and of the scale convolutions at one resolution: views of one map that holds the
  // normalised features and, behind them, their similarities.
  struct Features {
    at::Tensor both, direction, magnitude;
  };
  Features features(const at::Tensor& x, const std::optional<GroupNorm>& norm) const;
  // Directions, then (with direct scales) the scales' logits, at one resolution.
  at::Tensor guide(const Features& features, const Conv2d& offset, const std::optional<Conv2d>& scale,
                   std::optional<JoinedConv>& joined) const;
  // One convolution of `both` that gives directions and scales.
  JoinedConv join(const Conv2d& offset, const Conv2d& scale) const;
  at::Tensor offset(const at::Tensor& hr_x, const at::Tensor& lr_x, Trace* stages) const;
  void check_maps(const at::Tensor& hr_x, const at::Tensor& lr_x, const at::Tensor& feat2sample) const;
  void reset_norms();

  const OffsetGeneratorOptions options_;
  at::Tensor init_pos_;
  Conv2d offset_;
  std::optional<Conv2d> direct_scale_;
  Conv2d hr_offset_;
  std::optional<Conv2d> hr_direct_scale_;
  std::optional<GroupNorm> norm_hr_, norm_lr_;
  mutable std::optional<JoinedConv> joined_hr_, joined_lr_;
};

// Kind "offset_generator". Options: inChannels (required), scale (2 alone), style ('lp' alone), groups 4,
// useDirectScale true, kernelSize 1, localWindow 3, simType (without effect, as in the reference), norm true,
// directionFeat 'sim_concat'. Method forward {hrX, lrX, feat2sample} -> {offset, output}.
std::unique_ptr<Module> make_offset_generator(const Options& options);

}  // namespace freqfusion
