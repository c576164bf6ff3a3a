#pragma once

#include "native/modules/module.h"
#include "native/modules/options.h"

namespace freqfusion::node {

// The operators of detectors: inputs and options by name, as runOperator takes them.
NamedTensors run_roi_align(const NamedTensors& in, const Options& options);
NamedTensors run_roi_align_backward(const NamedTensors& in, const Options& options);
NamedTensors run_roi_levels(const NamedTensors& in, const Options& options);
NamedTensors run_roi_extract(const NamedTensors& in, const Options& options);
NamedTensors run_nms(const NamedTensors& in, const Options& options);
NamedTensors run_batched_nms(const NamedTensors& in, const Options& options);
NamedTensors run_multiclass_nms(const NamedTensors& in, const Options& options);
NamedTensors run_mask_paste(const NamedTensors& in, const Options& options);
NamedTensors run_paste_window(const NamedTensors& in, const Options& options);
NamedTensors run_mask_runs(const NamedTensors& in, const Options& options);
NamedTensors run_delta2bbox(const NamedTensors& in, const Options& options);
NamedTensors run_bbox2delta(const NamedTensors& in, const Options& options);
NamedTensors run_base_anchors(const NamedTensors& in, const Options& options);
NamedTensors run_grid_anchors(const NamedTensors& in, const Options& options);

}  // namespace freqfusion::node
