#pragma once

#include <memory>
#include <string>
#include <vector>

#include "native/modules/fusion/freqfusion.h"

namespace freqfusion {

// How each level joins the sharpened hr and the upsampled lr: FreqFusion's README shows the three.
enum class FusionRecipe {
  concat,  // channels joined, growing level by level (SegNeXt, SegFormer)
  unet,    // channels joined, then a 3 x 3 convolution back to the level's own count (U-Net)
  add,     // summed (FPN)
};

struct FusionPyramidOptions {
  FusionRecipe recipe = FusionRecipe::concat;
  std::vector<int64_t> channels;  // of x1 (finest) .. xL (coarsest); L >= 2
  FreqFusionOptions fusion;       // of every level; its channel counts are set here
};

// Fuses a feature pyramid from the coarsest level to the finest, one FreqFusion a step, with the README's slips
// corrected (torch.cat along the channels; the last hr output used, not the raw x1). State: ff1 (the coarsest
// step) .. ff{L-1}, then for unet conv{L-1} .. conv1, named after the level that they give.
class FusionPyramid final : public Module {
 public:
  // ERR_OPTION_VALUE for channel counts that the recipe cannot join.
  explicit FusionPyramid(const FusionPyramidOptions& options);

  // levels x1 .. xL, each [N, C, H, W] of half the size of the one before -> y1 .. y{L-1} at the sizes of
  // x1 .. x{L-1}. Stages: ff1.maskLr, ff1.hrFeat, ff1.lrFeat, ...
  std::vector<at::Tensor> forward(const std::vector<at::Tensor>& levels, Trace* stages = nullptr) const;

  // FreqFusion's initialisation for each step, PyTorch's default for the convolutions.
  void initialize(uint64_t seed) override;

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;

 private:
  struct Step {
    std::string name;
    std::unique_ptr<FreqFusion> fusion;
    std::unique_ptr<Conv2d> conv;  // unet alone
  };
  FreqFusion::Fused fuse(const Step& step, const at::Tensor& own, const at::Tensor& coarser, size_t level) const;
  at::Tensor join(const Step& step, const FreqFusion::Fused& fused) const;

  const FusionRecipe recipe_;
  std::vector<Step> steps_;  // coarsest first
};

// Kind "fusion_pyramid". Options: recipe ('concat' by default, 'unet', 'add'), channels (required: one number for
// all levels, or a list, finest first), levels (4 by default; the list's length where channels is a list), and
// every option of FreqFusion but its channel counts. Method forward {x1 .. xL} -> {y{L-1} .. y1}.
std::unique_ptr<Module> make_fusion_pyramid(const Options& options);

}  // namespace freqfusion
