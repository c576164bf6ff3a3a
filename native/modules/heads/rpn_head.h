#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "native/modules/detection/test_options.h"
#include "native/modules/fused_conv.h"
#include "native/modules/image/resize.h"
#include "native/ops/anchors.h"
#include "native/ops/box_coder.h"

namespace freqfusion {

struct RpnHeadOptions {
  int64_t in_channels = 256, feat_channels = 256;
  AnchorOptions anchors;
  std::vector<double> strides = {4, 8, 16, 32, 64};
  BoxCoderOptions coder;

  // ERR_OPTION_* for a wrong value.
  static RpnHeadOptions parse(const Options& options);
  int64_t anchors_per_cell() const { return static_cast<int64_t>(anchors.scales.size() * anchors.ratios.size()); }
};

// What the head says of one level: objectness [N, A, H, W] before the sigmoid and deltas [N, 4 * A, H, W], both in
// channels-last memory.
struct RpnLevel {
  at::Tensor objectness, deltas;
};

// Proposals of one image, best first: boxes [K, 4] in pixels of the network input, scores [K].
struct Proposals {
  at::Tensor boxes, scores;
};

// mmdetection's RPNHead (Faster R-CNN, NeurIPS 2015): state rpn_conv, rpn_cls, rpn_reg, shared by the levels.
class RpnHead final : public Module {
 public:
  explicit RpnHead(const RpnHeadOptions& options);

  // levels [N, in_channels, H_i, W_i] in compute_type, one a stride.
  std::vector<RpnLevel> forward(const std::vector<at::Tensor>& levels) const;
  // The proposals of image `image` of the batch, whose part `shown` of the input is the image.
  Proposals propose(const std::vector<RpnLevel>& levels, int64_t image, ImageSize shown,
                    const RpnTestOptions& test) const;

  size_t levels() const { return options_.strides.size(); }

  // Normal 0.01, biases 0.
  void initialize(at::Generator& generator);
  void initialize(uint64_t seed) override;

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;
  bool has_host_work(const std::string&) const override { return true; }

 protected:
  void changed() override { predictor_.reset(); }

 private:
  const RpnHeadOptions options_;
  std::vector<at::Tensor> base_anchors_;  // [A, 4] a level
  FusedConv2d rpn_conv_;
  Conv2d rpn_cls_, rpn_reg_;
  mutable std::optional<FusedConv> predictor_;  // both convolutions as one: the map is read once
};

// Stages rpnCls0, rpnReg0, rpnCls1, ...
void trace_rpn(Trace* stages, const std::vector<RpnLevel>& levels);

// Kind "rpn_head". Options: inChannels 256, featChannels 256, anchorGenerator {scales [8], ratios [0.5, 1, 2], strides
// [4, 8, 16, 32, 64]}, bboxCoder {targetMeans 0, targetStds 1}. Method forward {p2, p3, ...}, options stages, imgShapes
// (see parse_metas), testCfg (RpnTestOptions) -> {proposalBoxes0, proposalScores0, ... an image}.
std::unique_ptr<Module> make_rpn_head(const Options& options);

}  // namespace freqfusion
