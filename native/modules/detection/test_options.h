#pragma once

#include "native/modules/options.h"

namespace freqfusion {

// Test settings of a two-stage detector, by mmdetection's names and with its defaults. `parse` reads what `options`
// holds over `base`: ERR_OPTION_* for a wrong value.

// What becomes a proposal.
struct RpnTestOptions {
  int64_t nms_pre = 1000;      // best anchors of a level that are decoded
  int64_t max_per_img = 1000;  // proposals of an image
  double nms_iou_threshold = 0.7;
  double min_bbox_size = 0;  // sides are greater than it

  static RpnTestOptions parse(const Options& options, const RpnTestOptions& base);
};

// What becomes a detection.
struct RcnnTestOptions {
  double score_thr = 0.05;  // scores are greater than it
  double nms_iou_threshold = 0.5;
  bool class_agnostic_nms = false;
  int64_t max_per_img = 100;
  double mask_thr_binary = 0.5;  // pixels of a mask have at least this probability

  static RcnnTestOptions parse(const Options& options, const RcnnTestOptions& base);
};

// What becomes an instance of a panoptic map, and what becomes of the rest.
struct PanopticTestOptions {
  RcnnTestOptions instances = {.score_thr = 0.6, .class_agnostic_nms = true};
  double mask_overlap = 0.5;        // instances with a larger share under better ones are left out
  int64_t stuff_area_limit = 4096;  // stuff of fewer pixels becomes void

  static PanopticTestOptions parse(const Options& options, const PanopticTestOptions& base);
};

struct DetectorTestOptions {
  RpnTestOptions rpn;
  RcnnTestOptions rcnn;
  PanopticTestOptions panoptic;

  static DetectorTestOptions parse(const Options& options, const DetectorTestOptions& base);
};

}  // namespace freqfusion
