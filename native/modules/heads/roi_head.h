#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "native/modules/heads/bbox_head.h"
#include "native/modules/heads/mask_head.h"

namespace freqfusion {

// Intermediate results of the images of a batch, one after the other, for callers that ask for stages.
class RoiStages {
 public:
  void add(const std::string& name, const at::Tensor& part);
  // Joins the parts of every name: roiFeats, clsScore, bboxPred, maskFeats, maskLogitsAll, maskLogits.
  void flush(Trace* stages) const;

 private:
  std::vector<std::pair<std::string, std::vector<at::Tensor>>> parts_;
};

// mmdetection's StandardRoIHead: state bbox_head.* and, with masks, mask_head.*.
class RoiHead final : public Module {
 public:
  // ERR_OPTION_* for a wrong value. See make_roi_head.
  explicit RoiHead(const Options& options);

  // levels of the pyramid [N, C, H_i, W_i], finest first; proposals [K, 4] of image `image`.
  Detections detect(const std::vector<at::Tensor>& levels, int64_t image, const at::Tensor& proposals,
                    const ImageMeta& meta, bool rescale, const RcnnTestOptions& test, RoiStages* stages) const;
  // boxes [K, 4] in pixels of the network input, labels [K] -> mask logits [K, h, w].
  at::Tensor mask_logits(const std::vector<at::Tensor>& levels, int64_t image, const at::Tensor& boxes,
                         const at::Tensor& labels, RoiStages* stages) const;

  void initialize(at::Generator& generator);
  void initialize(uint64_t seed) override;

  bool has_masks() const { return mask_head_ != nullptr; }
  int64_t num_classes() const { return bbox_head_.options().num_classes; }
  size_t levels() const;

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;
  bool has_host_work(const std::string&) const override { return true; }

 private:
  const RoiExtractor bbox_extractor_, mask_extractor_;
  BBoxHead bbox_head_;
  std::unique_ptr<MaskHead> mask_head_;
};

// Detections as they go through the mask branch and onto the canvas. The reference multiplies and divides by the scale
// again, in float32; so is it done here.
struct MaskBoxes {
  at::Tensor network;  // in pixels of the network input
  at::Tensor canvas;   // in pixels of the canvas that masks are pasted on
};
MaskBoxes mask_boxes(const at::Tensor& boxes, const ImageMeta& meta, bool rescale);

// Kind "roi_head". Options: bboxRoiExtractor (outputSize 7), bboxHead {inChannels 256, fcOutChannels 1024, numClasses
// 80, regClassAgnostic false, bboxCoder}, maskRoiExtractor (outputSize 14), maskHead (null: no masks) {inChannels 256,
// convOutChannels 256, numConvs 4, numClasses: the box head's, classAgnostic false, upsampleCfg}.
// Method forward {p2, p3, ... of one image, proposals [K, 4]}, options stages, rescale true, imgShapes, oriShapes,
// scaleFactors (see parse_metas), testCfg (RcnnTestOptions) -> {boxes, scores, labels} and maskLogits.
std::unique_ptr<Module> make_roi_head(const Options& options);

}  // namespace freqfusion
