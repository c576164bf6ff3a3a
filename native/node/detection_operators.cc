#include "native/node/detection_operators.h"

#include <ATen/ops/empty.h>

#include <string>
#include <utility>
#include <vector>

#include "native/modules/error.h"
#include "native/modules/option_values.h"
#include "native/ops/anchors.h"
#include "native/ops/box_coder.h"
#include "native/ops/mask_paste.h"
#include "native/ops/nms.h"
#include "native/ops/roi_align.h"
#include "native/ops/roi_extractor.h"

namespace freqfusion::node {
namespace {

NamedTensors named(std::initializer_list<std::pair<const char*, at::Tensor>> tensors) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) result.add(name, tensor);
  return result;
}

// What is known beside them is checked by the caller.
RoiAlignOptions roi_align_options(const Options& options) {
  RoiAlignOptions parsed;
  parsed.out_height = options.integer("outHeight", parsed.out_height);
  parsed.out_width = options.integer("outWidth", parsed.out_width);
  parsed.spatial_scale = options.number("spatialScale", parsed.spatial_scale);
  parsed.sampling_ratio = options.integer("samplingRatio", parsed.sampling_ratio);
  parsed.aligned = options.boolean("aligned", parsed.aligned);
  return parsed;
}

}  // namespace

NamedTensors run_roi_align(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"outHeight", "outWidth", "spatialScale", "samplingRatio", "aligned"});
  return named({{"output", roi_align(in.require("features"), in.require("rois"), roi_align_options(options))}});
}

NamedTensors run_roi_align_backward(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"outHeight", "outWidth", "spatialScale", "samplingRatio", "aligned", "sizes"});
  return named({{"gradFeatures", roi_align_backward(in.require("gradOutput"), in.require("rois"),
                                                    options.integers("sizes", {}), roi_align_options(options))}});
}

NamedTensors run_roi_levels(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"levels", "finestScale"});
  return named(
      {{"output", roi_levels(in.require("rois"), options.integer("levels"), options.number("finestScale", 56))}});
}

NamedTensors run_roi_extract(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"outHeight", "outWidth", "spatialScales", "samplingRatio", "aligned", "finestScale"});
  const std::vector<double> scales = options.numbers("spatialScales", {});
  std::vector<at::Tensor> features;
  for (size_t i = 0; i < scales.size(); ++i) features.push_back(in.require("features" + std::to_string(i)));
  return named({{"output", roi_extract(features, in.require("rois"), scales, roi_align_options(options),
                                       options.number("finestScale", 56))}});
}

NamedTensors run_nms(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"iouThreshold", "offset", "scoreThreshold", "maxNum"});
  NmsOptions parsed;
  parsed.iou_threshold = options.number("iouThreshold", parsed.iou_threshold);
  parsed.offset = options.integer("offset", parsed.offset);
  parsed.score_threshold = options.number("scoreThreshold", parsed.score_threshold);
  parsed.max_num = options.integer("maxNum", parsed.max_num);
  return named({{"keep", nms(in.require("boxes"), in.require("scores"), parsed)}});
}

NamedTensors run_batched_nms(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"iouThreshold", "classAgnostic", "splitThreshold", "maxNum"});
  BatchedNmsOptions parsed;
  parsed.iou_threshold = options.number("iouThreshold", parsed.iou_threshold);
  parsed.class_agnostic = options.boolean("classAgnostic", parsed.class_agnostic);
  parsed.split_threshold = options.integer("splitThreshold", parsed.split_threshold);
  parsed.max_num = options.integer("maxNum", parsed.max_num);
  return named({{"keep", batched_nms(in.require("boxes"), in.require("scores"), in.require("groups"), parsed)}});
}

NamedTensors run_multiclass_nms(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"scoreThreshold", "iouThreshold", "classAgnostic", "splitThreshold", "maxNum"});
  MulticlassNmsOptions parsed;
  parsed.score_threshold = options.number("scoreThreshold", parsed.score_threshold);
  parsed.iou_threshold = options.number("iouThreshold", parsed.iou_threshold);
  parsed.class_agnostic = options.boolean("classAgnostic", parsed.class_agnostic);
  parsed.split_threshold = options.integer("splitThreshold", parsed.split_threshold);
  parsed.max_num = options.integer("maxNum", parsed.max_num);
  const MulticlassDetections found = multiclass_nms(in.require("boxes"), in.require("scores"), parsed);
  return named(
      {{"boxes", found.boxes}, {"scores", found.scores}, {"labels", found.labels}, {"indices", found.indices}});
}

NamedTensors run_mask_paste(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"height", "width", "skipEmpty"});
  return named({{"output", mask_paste(in.require("masks"), in.require("boxes"), options.integer("height"),
                                      options.integer("width"), options.boolean("skipEmpty", true))}});
}

NamedTensors run_paste_window(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"height", "width"});
  const PasteWindow window = paste_window(in.require("boxes"), options.integer("height"), options.integer("width"));
  const at::Tensor output = at::empty({4}, at::kLong);
  int64_t* to = output.mutable_data_ptr<int64_t>();
  to[0] = window.top, to[1] = window.bottom, to[2] = window.left, to[3] = window.right;
  return named({{"output", output}});
}

NamedTensors run_mask_runs(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"height", "width", "threshold"});
  const MaskRuns found = mask_runs(in.require("masks"), in.require("boxes"), options.integer("height"),
                                   options.integer("width"), options.number("threshold", 0.5));
  return named({{"runs", found.runs}, {"starts", found.starts}, {"areas", found.areas}});
}

NamedTensors run_delta2bbox(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"means", "stds", "maxShape", "whRatioClip", "clipBorder", "addCenterClamp", "centerClamp"});
  BoxCoderOptions parsed;
  parsed.means = numbers_option(options, "means", parsed.means, "four numbers");
  parsed.stds = numbers_option(options, "stds", parsed.stds, "four numbers");
  if (options.has("maxShape")) {
    const auto sides = options.numbers("maxShape", {});
    if (sides.size() != 2) {
      throw Error::argument("ERR_OPTION_VALUE", "maxShape", "[height, width]", std::to_string(sides.size()));
    }
    parsed.max_shape = {sides[0], sides[1]};
  }
  parsed.wh_ratio_clip = options.number("whRatioClip", parsed.wh_ratio_clip);
  parsed.clip_border = options.boolean("clipBorder", parsed.clip_border);
  parsed.add_center_clamp = options.boolean("addCenterClamp", parsed.add_center_clamp);
  parsed.center_clamp = options.number("centerClamp", parsed.center_clamp);
  return named({{"output", delta2bbox(in.require("rois"), in.require("deltas"), parsed)}});
}

NamedTensors run_bbox2delta(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"means", "stds"});
  BoxCoderOptions parsed;
  parsed.means = numbers_option(options, "means", parsed.means, "four numbers");
  parsed.stds = numbers_option(options, "stds", parsed.stds, "four numbers");
  return named({{"output", bbox2delta(in.require("rois"), in.require("boxes"), parsed)}});
}

NamedTensors run_base_anchors(const NamedTensors&, const Options& options) {
  options.reject_unknown({"baseSize", "scales", "ratios", "scaleMajor", "centerOffset"});
  AnchorOptions parsed;
  parsed.scales = options.numbers("scales", parsed.scales);
  parsed.ratios = options.numbers("ratios", parsed.ratios);
  parsed.scale_major = options.boolean("scaleMajor", parsed.scale_major);
  parsed.center_offset = options.number("centerOffset", parsed.center_offset);
  return named({{"output", base_anchors(options.number("baseSize", 0), parsed)}});
}

NamedTensors run_grid_anchors(const NamedTensors& in, const Options& options) {
  options.reject_unknown({"height", "width", "strideX", "strideY"});
  return named({{"output", grid_anchors(in.require("base"), options.integer("height"), options.integer("width"),
                                        options.number("strideX", 0), options.number("strideY", 0))}});
}

}  // namespace freqfusion::node
