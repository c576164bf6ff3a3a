#include "native/modules/detection/test_options.h"

#include "native/modules/error.h"

namespace freqfusion {
namespace {

std::vector<std::string> with(std::vector<std::string> names, const std::vector<std::string>& more) {
  names.insert(names.end(), more.begin(), more.end());
  return names;
}

const std::vector<std::string>& instance_options() {
  static const std::vector<std::string> names = {"scoreThr", "nmsIouThreshold", "classAgnosticNms", "maxPerImg",
                                                 "maskThrBinary"};
  return names;
}

double share(const Options& options, const char* name, double fallback) {
  const double value = options.number(name, fallback);
  if (value < 0 || value > 1) {
    throw Error::argument("ERR_OPTION_VALUE", name, "a number from 0 to 1", std::to_string(value));
  }
  return value;
}

int64_t count(const Options& options, const char* name, int64_t least, int64_t fallback) {
  const int64_t value = options.integer(name, fallback);
  if (value < least) {
    throw Error::argument("ERR_OPTION_VALUE", name, "an integer from " + std::to_string(least), std::to_string(value));
  }
  return value;
}

RcnnTestOptions parse_instances(const Options& options, RcnnTestOptions parsed) {
  parsed.score_thr = share(options, "scoreThr", parsed.score_thr);
  parsed.nms_iou_threshold = share(options, "nmsIouThreshold", parsed.nms_iou_threshold);
  parsed.class_agnostic_nms = options.boolean("classAgnosticNms", parsed.class_agnostic_nms);
  parsed.max_per_img = count(options, "maxPerImg", 1, parsed.max_per_img);
  parsed.mask_thr_binary = share(options, "maskThrBinary", parsed.mask_thr_binary);
  // At 0, which a small number is in float32, every pixel of the image would belong to every mask.
  if (static_cast<float>(parsed.mask_thr_binary) == 0) {
    throw Error::argument("ERR_OPTION_VALUE", "maskThrBinary", "a number above 0 and at most 1",
                          std::to_string(parsed.mask_thr_binary));
  }
  return parsed;
}

}  // namespace

RpnTestOptions RpnTestOptions::parse(const Options& options, const RpnTestOptions& base) {
  options.reject_unknown({"nmsPre", "maxPerImg", "nmsIouThreshold", "minBboxSize"});
  RpnTestOptions parsed;
  parsed.nms_pre = count(options, "nmsPre", 1, base.nms_pre);
  parsed.max_per_img = count(options, "maxPerImg", 1, base.max_per_img);
  parsed.nms_iou_threshold = share(options, "nmsIouThreshold", base.nms_iou_threshold);
  parsed.min_bbox_size = options.number("minBboxSize", base.min_bbox_size);
  if (parsed.min_bbox_size < 0) {
    throw Error::argument("ERR_OPTION_VALUE", "minBboxSize", "a number from 0", std::to_string(parsed.min_bbox_size));
  }
  return parsed;
}

RcnnTestOptions RcnnTestOptions::parse(const Options& options, const RcnnTestOptions& base) {
  options.reject_unknown(instance_options());
  return parse_instances(options, base);
}

PanopticTestOptions PanopticTestOptions::parse(const Options& options, const PanopticTestOptions& base) {
  options.reject_unknown(with(instance_options(), {"maskOverlap", "stuffAreaLimit"}));
  PanopticTestOptions parsed;
  parsed.instances = parse_instances(options, base.instances);
  parsed.mask_overlap = share(options, "maskOverlap", base.mask_overlap);
  parsed.stuff_area_limit = count(options, "stuffAreaLimit", 0, base.stuff_area_limit);
  return parsed;
}

DetectorTestOptions DetectorTestOptions::parse(const Options& options, const DetectorTestOptions& base) {
  options.reject_unknown({"rpn", "rcnn", "panoptic"});
  return {RpnTestOptions::parse(options.child("rpn"), base.rpn),
          RcnnTestOptions::parse(options.child("rcnn"), base.rcnn),
          PanopticTestOptions::parse(options.child("panoptic"), base.panoptic)};
}

}  // namespace freqfusion
