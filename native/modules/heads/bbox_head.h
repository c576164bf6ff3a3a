#pragma once

#include <memory>
#include <optional>

#include "native/modules/detection/regions.h"
#include "native/modules/detection/test_options.h"
#include "native/modules/fused_conv.h"

namespace freqfusion {

struct BBoxHeadOptions {
  int64_t in_channels = 256, roi_feat_size = 7, fc_out_channels = 1024, num_classes = 80;
  bool reg_class_agnostic = false;
  BoxCoderOptions coder;

  // ERR_OPTION_* for a wrong value.
  static BBoxHeadOptions parse(const Options& options, int64_t roi_feat_size);
};

// What the head says of K regions: logits [K, classes + 1], the background last, and deltas [K, 4 * classes] (or [K,
// 4]).
struct RegionPredictions {
  at::Tensor logits, deltas;
};

// Detections of one image, best first: boxes [K, 4], scores [K], labels int64 [K].
struct Detections {
  at::Tensor boxes, scores, labels;
};

// The first layer behind the regions: state `weight` [out, C * side * side] and `bias` [out], over regions flattened
// channel by channel. Regions lie in channels-last memory, so the weights are turned once rather than every region.
class RegionLinear final : public Module {
 public:
  RegionLinear(int64_t channels, int64_t side, int64_t out);
  // regions [K, C, side, side] -> [K, out], after ReLU.
  at::Tensor forward(const at::Tensor& regions) const;

  at::Tensor weight, bias;
  void changed() override { turned_.reset(); }

 private:
  struct Turned {
    at::Tensor weight, bias;
  };
  const int64_t channels_, side_;
  mutable std::optional<Turned> turned_;
};

// mmdetection's Shared2FCBBoxHead: state fc_cls, fc_reg, shared_fcs.0, shared_fcs.1.
class BBoxHead final : public Module {
 public:
  explicit BBoxHead(const BBoxHeadOptions& options);

  // regions [K, in_channels, side, side] in compute_type.
  RegionPredictions forward(const at::Tensor& regions) const;
  // Proposals [K, 4] and what was said of them -> detections, in the original's coordinates where `rescale`.
  Detections select(const at::Tensor& proposals, const RegionPredictions& predictions, const ImageMeta& meta,
                    bool rescale, const RcnnTestOptions& test) const;

  // Xavier uniform layers, normal 0.01 and 0.001 for classes and deltas; biases 0.
  void initialize(at::Generator& generator);
  using Module::initialize;

  const BBoxHeadOptions& options() const { return options_; }
  const at::Tensor& first_parameter() const { return fc_cls_.weight; }

 private:
  const BBoxHeadOptions options_;
  Linear fc_cls_, fc_reg_;
  RegionLinear first_;
  Linear second_;
};

}  // namespace freqfusion
