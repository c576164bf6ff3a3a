#include "native/modules/heads/rpn_head.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>

#include <string>

#include "native/modules/detection/inputs.h"
#include "native/modules/detection/regions.h"
#include "native/modules/detection/top_scores.h"
#include "native/modules/error.h"
#include "native/ops/nms.h"

namespace freqfusion {
namespace {

std::vector<double> positive_numbers(const Options& options, const char* name, const std::vector<double>& fallback) {
  auto values = options.numbers(name, fallback);
  bool valid = !values.empty() && values.size() <= 64;
  for (const double value : values) valid = valid && value > 0;
  if (valid) return values;
  throw Error::argument("ERR_OPTION_VALUE", name, "1 to 64 numbers above 0",
                        std::to_string(values.size()) + " numbers");
}

// One image's [C, H, W] with `members` numbers an anchor -> [H * W * A, members], in the order of the anchors.
at::Tensor by_anchor(const at::Tensor& map, int64_t members) { return map.permute({1, 2, 0}).reshape({-1, members}); }

ConvWeights joined(const ConvWeights& first, const ConvWeights& second) {
  return {at::cat({first.weight, second.weight}), at::cat({first.bias, second.bias})};
}

}  // namespace

RpnHeadOptions RpnHeadOptions::parse(const Options& options) {
  options.reject_unknown({"inChannels", "featChannels", "anchorGenerator", "bboxCoder"});
  RpnHeadOptions parsed;
  parsed.in_channels = positive_option(options, "inChannels", 256);
  parsed.feat_channels = positive_option(options, "featChannels", 256);
  const Options anchors = options.child("anchorGenerator");
  anchors.reject_unknown({"scales", "ratios", "strides"});
  parsed.anchors.scales = positive_numbers(anchors, "scales", parsed.anchors.scales);
  parsed.anchors.ratios = positive_numbers(anchors, "ratios", parsed.anchors.ratios);
  parsed.strides = positive_numbers(anchors, "strides", parsed.strides);
  parsed.coder = parse_box_coder(options.child("bboxCoder"), {1, 1, 1, 1});
  return parsed;
}

RpnHead::RpnHead(const RpnHeadOptions& options)
    : options_(options),
      rpn_conv_(options.in_channels, options.feat_channels, {.kernel = square(3), .padding = square(1)},
                Activation::relu),
      rpn_cls_(options.feat_channels, options.anchors_per_cell()),
      rpn_reg_(options.feat_channels, options.anchors_per_cell() * 4) {
  register_child("rpn_conv", &rpn_conv_);
  register_child("rpn_cls", &rpn_cls_);
  register_child("rpn_reg", &rpn_reg_);
  for (const double stride : options.strides) base_anchors_.push_back(base_anchors(stride, options.anchors));
}

std::vector<RpnLevel> RpnHead::forward(const std::vector<at::Tensor>& levels) const {
  if (!predictor_) {
    predictor_.emplace(joined(weights_of(rpn_cls_), weights_of(rpn_reg_)), Conv2dOptions{},
                       compute_type(rpn_cls_.weight));
  }
  const int64_t anchors = options_.anchors_per_cell();
  std::vector<RpnLevel> results;
  for (const at::Tensor& level : levels) {
    const at::Tensor both = predictor_->forward(rpn_conv_.forward(level));
    results.push_back({both.narrow(1, 0, anchors), both.narrow(1, anchors, anchors * 4)});
  }
  return results;
}

Proposals RpnHead::propose(const std::vector<RpnLevel>& levels, int64_t image, ImageSize shown,
                           const RpnTestOptions& test) const {
  std::vector<at::Tensor> scores, deltas, anchors, groups;
  for (size_t i = 0; i < levels.size(); ++i) {
    const at::Tensor objectness = levels[i].objectness.select(0, image);
    at::Tensor score = wide(by_anchor(objectness, 1)).squeeze(1).sigmoid();
    at::Tensor delta = wide(by_anchor(levels[i].deltas.select(0, image), 4));
    at::Tensor anchor = grid_anchors(base_anchors_[i].to(delta.options()), objectness.size(1), objectness.size(2),
                                     options_.strides[i], options_.strides[i]);
    if (score.size(0) > test.nms_pre) {
      const at::Tensor best = top_scores(score, test.nms_pre);
      score = score.index_select(0, best);
      delta = delta.index_select(0, best);
      anchor = anchor.index_select(0, best);
    }
    groups.push_back(at::full({score.size(0)}, static_cast<int64_t>(i), score.options().dtype(at::kLong)));
    scores.push_back(std::move(score));
    deltas.push_back(std::move(delta));
    anchors.push_back(std::move(anchor));
  }
  BoxCoderOptions coder = options_.coder;
  coder.max_shape = {static_cast<double>(shown.height), static_cast<double>(shown.width)};
  const at::Tensor boxes = delta2bbox(at::cat(anchors), at::cat(deltas), coder);
  const at::Tensor score = at::cat(scores);
  // A NaN fails every comparison: what a broken map proposes is dropped here.
  const at::Tensor sides = boxes.narrow(1, 2, 2).sub(boxes.narrow(1, 0, 2));
  const at::Tensor valid = sides.gt(test.min_bbox_size).all(1).logical_and(score.ge(0)).nonzero().squeeze(1);
  const at::Tensor candidates = boxes.index_select(0, valid), ranked = score.index_select(0, valid);
  const at::Tensor kept = batched_nms(candidates, ranked, at::cat(groups).index_select(0, valid),
                                      {.iou_threshold = test.nms_iou_threshold, .max_num = test.max_per_img});
  return {candidates.index_select(0, kept), ranked.index_select(0, kept)};
}

void RpnHead::initialize(at::Generator& generator) {
  for (Conv2d* conv : {static_cast<Conv2d*>(&rpn_conv_), &rpn_cls_, &rpn_reg_})
    fill_conv_normal(*conv, 0.01, generator);
  rpn_conv_.changed();
  changed();
}

void RpnHead::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  initialize(generator);
}

NamedTensors RpnHead::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method != "forward") return Module::run(method, inputs, options);
  options.reject_unknown({"stages", "imgShapes", "testCfg"});
  const RpnTestOptions test = RpnTestOptions::parse(options.child("testCfg"), {});
  const auto levels = pyramid_inputs(inputs, options_.strides.size(), options_.in_channels, rpn_conv_.weight);
  const auto stride = static_cast<int64_t>(options_.strides.front());
  const auto metas =
      parse_metas(options, levels.front().size(0), {levels.front().size(2) * stride, levels.front().size(3) * stride});
  const auto results = forward(levels);
  NamedTensors outputs, stages;
  for (size_t i = 0; i < metas.size(); ++i) {
    const Proposals proposals = propose(results, static_cast<int64_t>(i), metas[i].shown, test);
    outputs.add("proposalBoxes" + std::to_string(i), proposals.boxes);
    outputs.add("proposalScores" + std::to_string(i), proposals.scores);
  }
  if (options.boolean("stages", false)) trace_rpn(&outputs, results);
  return outputs;
}

void trace_rpn(Trace* stages, const std::vector<RpnLevel>& levels) {
  for (size_t i = 0; i < levels.size() && stages != nullptr; ++i) {
    stages->add("rpnCls" + std::to_string(i), levels[i].objectness);
    stages->add("rpnReg" + std::to_string(i), levels[i].deltas);
  }
}

std::unique_ptr<Module> make_rpn_head(const Options& options) {
  return std::make_unique<RpnHead>(RpnHeadOptions::parse(options));
}

}  // namespace freqfusion
