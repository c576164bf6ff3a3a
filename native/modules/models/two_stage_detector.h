#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "native/modules/backbones/resnet.h"
#include "native/modules/heads/roi_head.h"
#include "native/modules/heads/rpn_head.h"
#include "native/modules/heads/semantic_fpn_head.h"
#include "native/modules/necks/neck.h"
#include "native/ops/mask_paste.h"

namespace freqfusion {

enum class DetectorTask { boxes, masks, panoptic };

// What was found in one image, on the CPU.
struct DetectorResult {
  Detections found;  // float32
  MaskRuns masks;    // of DetectorTask::masks and panoptic
  at::Tensor map;    // int32 [H, W], of DetectorTask::panoptic
};

// mmdetection's two-stage detectors, Faster R-CNN, Mask R-CNN and Panoptic FPN, on a ResNet with a feature pyramid:
// state backbone.*, neck.*, rpn_head.*, roi_head.* and, for panoptic maps, semantic_head.*.
class TwoStageDetector final : public Module {
 public:
  // ERR_OPTION_* for a wrong value. See make_faster_rcnn.
  TwoStageDetector(DetectorTask task, const Options& options);

  // image [N, in, H, W], normalised, with a meta an image -> a result an image.
  std::vector<DetectorResult> forward(const at::Tensor& image, const std::vector<ImageMeta>& metas, bool rescale,
                                      const DetectorTestOptions& test, Trace* stages = nullptr) const;

  void initialize(uint64_t seed) override;

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;
  // Regions are chosen by their scores.
  bool has_host_work(const std::string&) const override { return true; }

 private:
  // The maps of a batch that regions are read from.
  struct Maps {
    std::vector<at::Tensor> levels;
    std::vector<RpnLevel> rpn;
    at::Tensor semantic;  // logits of the semantic head
    ImageSize input;
  };
  Maps compute_maps(const at::Tensor& image, Trace* stages) const;
  // The same as a network that may be captured.
  Maps replay_maps(const at::Tensor& image) const;
  DetectorResult detect_one(const Maps& maps, int64_t index, const ImageMeta& meta, bool rescale,
                            const DetectorTestOptions& test, Trace* stages, RoiStages* roi_stages) const;

  NamedTensors run_forward(const NamedTensors& inputs, const Options& options) const;
  NamedTensors run_detect(const NamedTensors& inputs, const Options& options) const;

  const DetectorTask task_;
  const DetectorTestOptions test_;
  ResNet backbone_;
  std::unique_ptr<Neck> neck_;
  RpnHead rpn_head_;
  RoiHead roi_head_;
  std::optional<SemanticFpnHead> semantic_head_;
};

// Kinds "faster_rcnn", "mask_rcnn", "panoptic_fpn". Options: backbone (resnet's), neck (fpn's; by default
// 'FreqFusionCARAFEFPN' with featureResampleGroup 4 over the backbone's channels), rpnHead, roiHead, semanticHead
// (panoptic_fpn alone), testCfg (DetectorTestOptions); widths that follow from the neck are its by default.
// Methods, with results boxes{i} [K, 4], scores{i} [K], labels{i} int64 [K], with masks maskRuns{i}, maskStarts{i},
// maskAreas{i} (see MaskRuns), and panoptic{i} int32 [H, W], for image i:
//   forward {image [N, in, H, W], normalised}, options stages, rescale true, imgShapes, oriShapes, scaleFactors (see
//     parse_metas), testCfg over the detector's own.
//   detect {image0, image1, ...: uint8 [H, W, 3] RGB}, options preprocess (see PreprocessOptions), testCfg.
std::unique_ptr<Module> make_faster_rcnn(const Options& options);
std::unique_ptr<Module> make_mask_rcnn(const Options& options);
std::unique_ptr<Module> make_panoptic_fpn(const Options& options);

}  // namespace freqfusion
