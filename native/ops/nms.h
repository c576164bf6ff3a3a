#pragma once

#include <ATen/core/Tensor.h>

#include "native/ops/export.h"

namespace freqfusion {

struct NmsOptions {
  double iou_threshold = 0.5;  // 0..1; a box is dropped when its IoU with a better one is above it
  int64_t offset = 0;          // 1: widths and heights are x2 - x1 + 1, the older convention
  double score_threshold = 0;  // above 0: boxes whose score is not above it, in its dtype, are left out first
  int64_t max_num = -1;        // at most this many, the best ones; -1 = all
};

// Greedy non-maximum suppression. boxes [N, 4] (x1, y1, x2, y2), scores [N], both floating -> int64 [kept], indices of
// the boxes that stay, best score first, equal scores by index. Scores that are NaN come last. The IoU is rounded as
// mmcv rounds it: float32, one division (float64 for float64 boxes). A box with a NaN neither drops nor is dropped.
FREQFUSION_API at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, const NmsOptions& options);

struct BatchedNmsOptions {
  double iou_threshold = 0.5;
  bool class_agnostic = false;      // groups do not matter
  int64_t split_threshold = 10000;  // from this many boxes on, group by group
  int64_t max_num = -1;
};

// NMS within each group (class or pyramid level). groups [N], int64 -> as nms. Groups are kept apart as mmcv does it:
// group * (greatest coordinate + 1) is added to all coordinates, so groups with negative coordinates can touch; from
// split_threshold boxes on each group is alone.
FREQFUSION_API at::Tensor batched_nms(const at::Tensor& boxes, const at::Tensor& scores, const at::Tensor& groups,
                                      const BatchedNmsOptions& options);

struct MulticlassNmsOptions {
  double score_threshold = 0.05;  // strictly above it
  double iou_threshold = 0.5;
  bool class_agnostic = false;
  int64_t split_threshold = 10000;
  int64_t max_num = -1;
};

struct MulticlassDetections {
  at::Tensor boxes;    // [K, 4]
  at::Tensor scores;   // [K], descending
  at::Tensor labels;   // int64 [K]
  at::Tensor indices;  // int64 [K], box * classes + class: rows of the flattened table
};

// The last step of a box head. boxes [N, 4] or [N, 4 * C], scores [N, C + 1] whose last column is the background.
FREQFUSION_API MulticlassDetections multiclass_nms(const at::Tensor& boxes, const at::Tensor& scores,
                                                   const MulticlassNmsOptions& options);

}  // namespace freqfusion
