#pragma once

#include <ATen/core/Tensor.h>

#include "native/modules/module.h"
#include "native/ops/mask_paste.h"

namespace freqfusion {

struct PanopticFusionOptions {
  int64_t num_things_classes = 80, num_stuff_classes = 53;
  double mask_overlap = 0.5;        // instances with a larger share under better ones are left out
  int64_t stuff_area_limit = 4096;  // stuff of fewer pixels becomes void
};

struct PanopticMap {
  at::Tensor ids;     // int32 [H, W]: class + 1000 * k, things + class, or things + stuff (void)
  at::Tensor pasted;  // int64 [M]: which instances are in it, best score first; the k-th has k = 1, 2, ...
};

// Throws ERR_OPTION_VALUE for more classes than ids of class + 1000 * k can tell apart, void included.
void check_panoptic_classes(int64_t things, int64_t stuff);

// mmdetection's HeuristicFusionHead: instances by score, best first, each on the pixels that are still free, over the
// semantic map. Instance by instance from run lengths: no canvas of one instance is ever held.
// scores [K], labels int64 [K], masks of K instances, classes [H, W] uint8 or int32 of the semantic head (the kinds of
// stuff, then things as one); all on the CPU.
PanopticMap fuse_panoptic(const at::Tensor& scores, const at::Tensor& labels, const MaskRuns& masks,
                          const at::Tensor& classes, const PanopticFusionOptions& options);

// masks [K, H, W] -> run lengths of the pixels with at least `threshold`.
MaskRuns runs_of(const at::Tensor& masks, double threshold);

// The operator "panopticFusion": {scores [K], labels int64 [K], masks [K, H, W], semantic [stuff + 1, H, W]}, options
// numThingsClasses 80, numStuffClasses 53, maskThrBinary 0.5, maskOverlap 0.5, stuffAreaLimit 4096 -> {panoptic int32
// [H, W], pasted int64 [M]}.
NamedTensors panoptic_fusion(const NamedTensors& inputs, const Options& options);

}  // namespace freqfusion
