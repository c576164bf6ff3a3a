#include "native/modules/heads/bbox_head.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/softmax.h>

#include "native/modules/detection/inputs.h"
#include "native/ops/nms.h"

namespace freqfusion {

BBoxHeadOptions BBoxHeadOptions::parse(const Options& options, int64_t roi_feat_size) {
  options.reject_unknown({"inChannels", "fcOutChannels", "numClasses", "regClassAgnostic", "bboxCoder"});
  BBoxHeadOptions parsed;
  parsed.roi_feat_size = roi_feat_size;
  parsed.in_channels = positive_option(options, "inChannels", parsed.in_channels);
  parsed.fc_out_channels = positive_option(options, "fcOutChannels", parsed.fc_out_channels);
  parsed.num_classes = positive_option(options, "numClasses", parsed.num_classes);
  parsed.reg_class_agnostic = options.boolean("regClassAgnostic", false);
  parsed.coder = parse_box_coder(options.child("bboxCoder"), {0.1, 0.1, 0.2, 0.2});
  return parsed;
}

RegionLinear::RegionLinear(int64_t channels, int64_t side, int64_t out) : channels_(channels), side_(side) {
  register_parameter("weight", &weight, {out, channels * side * side});
  register_parameter("bias", &bias, {out});
}

at::Tensor RegionLinear::forward(const at::Tensor& regions) const {
  if (!turned_) {
    const at::ScalarType dtype = compute_type(weight);
    const at::Tensor pixels = weight.view({-1, channels_, side_, side_}).permute({0, 2, 3, 1});
    turned_.emplace(Turned{pixels.to(dtype).reshape({weight.size(0), -1}), bias.to(dtype)});
  }
  const at::Tensor rows = regions.permute({0, 2, 3, 1}).reshape({regions.size(0), channels_ * side_ * side_});
  at::Tensor result = at::linear(rows, turned_->weight, turned_->bias);
  return at::relu_(result);
}

BBoxHead::BBoxHead(const BBoxHeadOptions& options)
    : options_(options),
      fc_cls_(options.fc_out_channels, options.num_classes + 1),
      fc_reg_(options.fc_out_channels, options.reg_class_agnostic ? 4 : 4 * options.num_classes),
      first_(options.in_channels, options.roi_feat_size, options.fc_out_channels),
      second_(options.fc_out_channels, options.fc_out_channels, Activation::relu) {
  register_child("fc_cls", &fc_cls_);
  register_child("fc_reg", &fc_reg_);
  register_child("shared_fcs.0", &first_);
  register_child("shared_fcs.1", &second_);
}

RegionPredictions BBoxHead::forward(const at::Tensor& regions) const {
  const at::Tensor features = second_.forward(first_.forward(regions));
  return {fc_cls_.forward(features), fc_reg_.forward(features)};
}

Detections BBoxHead::select(const at::Tensor& proposals, const RegionPredictions& predictions, const ImageMeta& meta,
                            bool rescale, const RcnnTestOptions& test) const {
  const at::Tensor scores = at::softmax(wide(predictions.logits), 1).narrow(1, 0, options_.num_classes);
  // Region by region, class by class. Only these are decoded: few of all pairs pass the threshold.
  const at::Tensor pairs = scores.gt(test.score_thr).nonzero();
  const at::Tensor region = pairs.select(1, 0), label = pairs.select(1, 1);
  const at::Tensor flat = region.mul(options_.num_classes).add(label);
  const at::Tensor deltas = options_.reg_class_agnostic ? predictions.deltas.index_select(0, region)
                                                        : predictions.deltas.reshape({-1, 4}).index_select(0, flat);
  BoxCoderOptions coder = options_.coder;
  coder.max_shape = {static_cast<double>(meta.shown.height), static_cast<double>(meta.shown.width)};
  at::Tensor boxes = delta2bbox(proposals.index_select(0, region), wide(deltas), coder);
  if (rescale) boxes = boxes.div(meta.scales(boxes));
  const at::Tensor score = scores.reshape({-1}).index_select(0, flat);
  // What a broken network says is not a number is no detection.
  const at::Tensor finite = boxes.isfinite().all(1).nonzero().squeeze(1);
  const at::Tensor candidates = boxes.index_select(0, finite), ranked = score.index_select(0, finite),
                   labels = label.index_select(0, finite);
  const at::Tensor kept = batched_nms(candidates, ranked, labels,
                                      {.iou_threshold = test.nms_iou_threshold,
                                       .class_agnostic = test.class_agnostic_nms,
                                       .max_num = test.max_per_img});
  return {candidates.index_select(0, kept), ranked.index_select(0, kept), labels.index_select(0, kept)};
}

void BBoxHead::initialize(at::Generator& generator) {
  fill_xavier_uniform(first_.weight, generator);
  fill_xavier_uniform(second_.weight, generator);
  fill_normal(fc_cls_.weight, 0, 0.01, generator);
  fill_normal(fc_reg_.weight, 0, 0.001, generator);
  for (at::Tensor* bias : {&first_.bias, &second_.bias, &fc_cls_.bias, &fc_reg_.bias}) fill_constant(*bias, 0);
  first_.changed();
  for (Linear* layer : {&second_, &fc_cls_, &fc_reg_}) layer->changed();
}

}  // namespace freqfusion
