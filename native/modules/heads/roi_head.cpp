#include "native/modules/heads/roi_head.h"

#include <ATen/ops/cat.h>

#include <algorithm>

#include "native/modules/detection/inputs.h"
#include "native/modules/error.h"

namespace freqfusion {
namespace {

// Regions that go through the mask head at a time: 64 of 256 channels at 28 x 28 are 51 MB.
constexpr int64_t kMaskRegions = 64;

}  // namespace

void RoiStages::add(const std::string& name, const at::Tensor& part) {
  for (auto& [known, parts] : parts_) {
    if (known == name) {
      parts.push_back(part);
      return;
    }
  }
  parts_.emplace_back(name, std::vector<at::Tensor>{part});
}

void RoiStages::flush(Trace* stages) const {
  for (const auto& [name, parts] : parts_) stages->add(name, at::cat(parts));
}

RoiHead::RoiHead(const Options& options)
    : bbox_extractor_(options.child("bboxRoiExtractor"), 7),
      mask_extractor_(options.child("maskRoiExtractor"), 14),
      bbox_head_(BBoxHeadOptions::parse(options.child("bboxHead"), bbox_extractor_.side())) {
  options.reject_unknown({"bboxRoiExtractor", "bboxHead", "maskRoiExtractor", "maskHead"});
  register_child("bbox_head", &bbox_head_);
  if (!options.has("maskHead")) return;
  const Options mask = with_default(options.child("maskHead"), "numClasses", bbox_head_.options().num_classes);
  const MaskHeadOptions parsed = MaskHeadOptions::parse(mask);
  if (!parsed.class_agnostic && parsed.num_classes != bbox_head_.options().num_classes) {
    // A mask is taken from the layer of the class that the box head found.
    throw Error::argument("ERR_OPTION_VALUE", "maskHead.numClasses",
                          std::to_string(bbox_head_.options().num_classes) + ", the box head's classes",
                          std::to_string(parsed.num_classes));
  }
  mask_head_ = std::make_unique<MaskHead>(parsed);
  register_child("mask_head", mask_head_.get());
}

size_t RoiHead::levels() const {
  return has_masks() ? std::max(bbox_extractor_.levels(), mask_extractor_.levels()) : bbox_extractor_.levels();
}

Detections RoiHead::detect(const std::vector<at::Tensor>& levels, int64_t image, const at::Tensor& proposals,
                           const ImageMeta& meta, bool rescale, const RcnnTestOptions& test, RoiStages* stages) const {
  const at::Tensor regions = bbox_extractor_.extract(levels, image, proposals);
  const RegionPredictions predictions = bbox_head_.forward(regions);
  if (stages != nullptr) {
    stages->add("roiFeats", regions);
    stages->add("clsScore", predictions.logits);
    stages->add("bboxPred", predictions.deltas);
  }
  return bbox_head_.select(proposals, predictions, meta, rescale, test);
}

at::Tensor RoiHead::mask_logits(const std::vector<at::Tensor>& levels, int64_t image, const at::Tensor& boxes,
                                const at::Tensor& labels, RoiStages* stages) const {
  std::vector<at::Tensor> parts;
  for (int64_t first = 0; first == 0 || first < boxes.size(0); first += kMaskRegions) {
    const int64_t count = std::min(kMaskRegions, boxes.size(0) - first);
    const at::Tensor regions = mask_extractor_.extract(levels, image, boxes.narrow(0, first, count));
    parts.push_back(mask_head_->forward(regions, labels.narrow(0, first, count)));
    if (stages == nullptr) continue;
    stages->add("maskFeats", regions);
    stages->add("maskLogitsAll", mask_head_->forward_all(regions));
    stages->add("maskLogits", parts.back());
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

void RoiHead::initialize(at::Generator& generator) {
  bbox_head_.initialize(generator);
  if (mask_head_) mask_head_->initialize(generator);
}

void RoiHead::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  initialize(generator);
}

NamedTensors RoiHead::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method != "forward") return Module::run(method, inputs, options);
  options.reject_unknown({"stages", "rescale", "imgShapes", "oriShapes", "scaleFactors", "testCfg"});
  const RcnnTestOptions test = RcnnTestOptions::parse(options.child("testCfg"), {});
  const bool rescale = options.boolean("rescale", true);
  const auto levels =
      pyramid_inputs(inputs, this->levels(), bbox_head_.options().in_channels, bbox_head_.first_parameter());
  if (levels.front().size(0) != 1) {
    throw Error::argument("ERR_SHAPE", "p2", "one image [1, C, H, W]", shape_text(levels.front()));
  }
  const at::Tensor& proposals = inputs.require("proposals");
  if (proposals.dim() != 2 || proposals.size(1) != 4) {
    throw Error::argument("ERR_SHAPE", "proposals", "[K, 4]", shape_text(proposals));
  }
  const auto metas = parse_metas(options, 1, {levels.front().size(2) * 4, levels.front().size(3) * 4});
  RoiStages stages;
  RoiStages* const trace = options.boolean("stages", false) ? &stages : nullptr;
  const Detections found = detect(levels, 0, proposals.to(levels.front().device(), wide(levels.front()).scalar_type()),
                                  metas.front(), rescale, test, trace);
  NamedTensors outputs;
  outputs.add("boxes", found.boxes);
  outputs.add("scores", found.scores);
  outputs.add("labels", found.labels);
  if (has_masks()) {
    const MaskBoxes boxes = mask_boxes(found.boxes, metas.front(), rescale);
    outputs.add("maskLogits", mask_logits(levels, 0, boxes.network, found.labels, trace));
  }
  if (trace != nullptr) stages.flush(&outputs);
  return outputs;
}

MaskBoxes mask_boxes(const at::Tensor& boxes, const ImageMeta& meta, bool rescale) {
  if (!rescale) return {boxes, boxes};
  const at::Tensor scales = meta.scales(boxes);
  const at::Tensor network = boxes.mul(scales);
  return {network, network.div(scales)};
}

std::unique_ptr<Module> make_roi_head(const Options& options) { return std::make_unique<RoiHead>(options); }

}  // namespace freqfusion
