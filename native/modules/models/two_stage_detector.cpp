#include "native/modules/models/two_stage_detector.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "native/modules/detection/inputs.h"
#include "native/modules/detection/panoptic_fusion.h"
#include "native/modules/error.h"
#include "native/modules/image/postprocess.h"
#include "native/modules/image/preprocess.h"
#include "native/modules/network.h"

namespace freqfusion {
namespace {

// Pixels of network inputs that go through a CPU together: more at a time is no faster, and takes memory by as much.
constexpr int64_t kPixelsPerPass = int64_t{1} << 20;

Options neck_options(const Options& options, const ResNet& backbone) {
  Options neck = with_default(options.child("neck"), "type", Options(std::string("FreqFusionCARAFEFPN")));
  Options::List channels;
  for (const int64_t count : backbone.out_channels()) channels.emplace_back(static_cast<double>(count));
  neck = with_default(std::move(neck), "inChannels", Options(std::move(channels)));
  if (neck.string("type", "") != "FreqFusionCARAFEFPN") return neck;
  return with_default(std::move(neck), "featureResampleGroup", 4);
}

Options rpn_options(const Options& options, const Neck& neck) {
  Options head = with_default(options.child("rpnHead"), "inChannels", neck.options().out_channels);
  return with_default(std::move(head), "featChannels", neck.options().out_channels);
}

// The options of one of the RoI head's parts, with the neck's width.
Options with_neck_width(const Options& options, const char* name, const Neck& neck) {
  return with_default(options.child(name), "inChannels", neck.options().out_channels);
}

Options roi_options(const Options& options, const Neck& neck, DetectorTask task) {
  Options head = options.child("roiHead");
  head.set("bboxHead", with_neck_width(head, "bboxHead", neck));
  if (task != DetectorTask::boxes) {
    head.set("maskHead", with_neck_width(head, "maskHead", neck));
  } else if (head.has("maskHead")) {
    throw Error::argument("ERR_OPTION_VALUE", "roiHead.maskHead", "nothing: faster_rcnn has no masks", "an object");
  }
  return head;
}

void add_levels(Trace* stages, char name, size_t first, const std::vector<at::Tensor>& levels) {
  for (size_t i = 0; i < levels.size() && stages != nullptr; ++i) {
    stages->add(name + std::to_string(first + i), levels[i]);
  }
}

MaskRuns no_masks() {
  const auto empty = [](at::ScalarType dtype) { return at::empty({0}, at::TensorOptions().dtype(dtype)); };
  return {empty(at::kInt), at::zeros({1}, at::TensorOptions().dtype(at::kLong)), empty(at::kLong)};
}

// The size that masks are pasted at. Without rescale mmdetection has two rules: the image's, rounded to the even as
// numpy does, for masks alone; the padded input for panoptic maps.
ImageSize canvas_of(const ImageMeta& meta, bool rescale, DetectorTask task, ImageSize input) {
  if (rescale) return meta.original;
  if (task == DetectorTask::panoptic) return input;
  const auto scaled = [](int64_t side, float scale) {
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(static_cast<float>(side) * scale)));
  };
  return {scaled(meta.original.height, meta.scale_y), scaled(meta.original.width, meta.scale_x)};
}

void add_result(NamedTensors& outputs, size_t index, const DetectorResult& result) {
  const std::string suffix = std::to_string(index);
  outputs.add("boxes" + suffix, result.found.boxes);
  outputs.add("scores" + suffix, result.found.scores);
  outputs.add("labels" + suffix, result.found.labels);
  if (result.masks.starts.defined()) {
    outputs.add("maskRuns" + suffix, result.masks.runs);
    outputs.add("maskStarts" + suffix, result.masks.starts);
    outputs.add("maskAreas" + suffix, result.masks.areas);
  }
  if (result.map.defined()) outputs.add("panoptic" + suffix, result.map);
}

ImageMeta meta_of(ImageSize original, ImageSize shown) {
  const auto scale = [](int64_t to, int64_t from) {
    return static_cast<float>(static_cast<double>(to) / static_cast<double>(from));
  };
  return {shown, original, scale(shown.width, original.width), scale(shown.height, original.height)};
}

// Which of the network inputs [1, C, H, W] go through the network together: those of one size, so that no image is
// padded because of its neighbours, and on a CPU a few at a time.
std::vector<std::vector<size_t>> passes_of(const std::vector<at::Tensor>& images, const at::Device& device) {
  std::vector<std::vector<size_t>> passes;
  for (size_t i = 0; i < images.size(); ++i) {
    const int64_t pixels = images[i].size(2) * images[i].size(3);
    const auto joins = [&](const std::vector<size_t>& pass) {
      const int64_t total = pixels * static_cast<int64_t>(pass.size() + 1);
      return images[pass.front()].sizes() == images[i].sizes() && (!device.is_cpu() || total <= kPixelsPerPass);
    };
    const auto pass = std::find_if(passes.begin(), passes.end(), joins);
    if (pass != passes.end()) {
      pass->push_back(i);
    } else {
      passes.push_back({i});
    }
  }
  return passes;
}

}  // namespace

TwoStageDetector::TwoStageDetector(DetectorTask task, const Options& options)
    : task_(task),
      test_(DetectorTestOptions::parse(options.child("testCfg"), {})),
      backbone_(ResNetOptions::parse(options.child("backbone"))),
      neck_(make_neck(neck_options(options, backbone_))),
      rpn_head_(RpnHeadOptions::parse(rpn_options(options, *neck_))),
      roi_head_(roi_options(options, *neck_, task)) {
  options.reject_unknown({"backbone", "neck", "rpnHead", "roiHead", "semanticHead", "testCfg"});
  register_child("backbone", &backbone_);
  register_child("neck", neck_.get());
  register_child("rpn_head", &rpn_head_);
  register_child("roi_head", &roi_head_);
  const auto outs = static_cast<size_t>(neck_->options().num_outs);
  if (rpn_head_.levels() != outs || roi_head_.levels() > outs) {
    throw Error::argument("ERR_OPTION_VALUE", "rpnHead.anchorGenerator.strides",
                          std::to_string(outs) + " strides, one a level of the neck, and no more of the RoI head",
                          std::to_string(rpn_head_.levels()) + " and " + std::to_string(roi_head_.levels()));
  }
  if (task != DetectorTask::panoptic) {
    if (options.has("semanticHead")) {
      throw Error::argument("ERR_OPTION_VALUE", "semanticHead", "nothing but in panoptic_fpn", "an object");
    }
    return;
  }
  Options semantic = with_neck_width(options, "semanticHead", *neck_);
  semantic = with_default(std::move(semantic), "numThingsClasses", roi_head_.num_classes());
  semantic_head_.emplace(SemanticFpnHeadOptions::parse(semantic));
  if (semantic_head_->options().num_things_classes != roi_head_.num_classes()) {
    throw Error::argument("ERR_OPTION_VALUE", "semanticHead.numThingsClasses",
                          std::to_string(roi_head_.num_classes()) + ", the box head's classes",
                          std::to_string(semantic_head_->options().num_things_classes));
  }
  check_panoptic_classes(semantic_head_->options().num_things_classes, semantic_head_->options().num_stuff_classes);
  if (semantic_head_->options().levels > neck_->options().num_outs) {
    throw Error::argument("ERR_OPTION_VALUE", "neck.numOuts",
                          std::to_string(semantic_head_->options().levels) + " or more, as the semantic head reads",
                          std::to_string(neck_->options().num_outs));
  }
  register_child("semantic_head", &*semantic_head_);
}

TwoStageDetector::Maps TwoStageDetector::compute_maps(const at::Tensor& image, Trace* stages) const {
  Maps maps;
  maps.input = {image.size(2), image.size(3)};
  std::vector<at::Tensor> stage_maps = backbone_.forward(image);
  add_levels(stages, 'c', 2, stage_maps);
  maps.levels = neck_->forward(std::move(stage_maps));
  add_levels(stages, 'p', 2, maps.levels);
  maps.rpn = rpn_head_.forward(maps.levels);
  trace_rpn(stages, maps.rpn);
  if (semantic_head_) {
    const auto read = static_cast<std::ptrdiff_t>(semantic_head_->options().levels);
    maps.semantic = semantic_head_->forward({maps.levels.begin(), maps.levels.begin() + read});
    if (stages != nullptr) stages->add("semLogits", maps.semantic);
  }
  return maps;
}

TwoStageDetector::Maps TwoStageDetector::replay_maps(const at::Tensor& image) const {
  NamedTensors given;
  given.add("image", image);
  const NamedTensors found = run_network("maps", given, [this](const NamedTensors& inputs) {
    const Maps maps = compute_maps(inputs.require("image"), nullptr);
    NamedTensors tensors;
    for (size_t i = 0; i < maps.levels.size(); ++i) {
      const std::string level = std::to_string(i);
      tensors.add("level" + level, maps.levels[i]);
      tensors.add("objectness" + level, maps.rpn[i].objectness);
      tensors.add("deltas" + level, maps.rpn[i].deltas);
    }
    if (maps.semantic.defined()) tensors.add("semantic", maps.semantic);
    return tensors;
  });
  Maps maps;
  maps.input = {image.size(2), image.size(3)};
  for (size_t i = 0; i < rpn_head_.levels(); ++i) {
    const std::string level = std::to_string(i);
    maps.levels.push_back(found.require("level" + level));
    maps.rpn.push_back({found.require("objectness" + level), found.require("deltas" + level)});
  }
  if (semantic_head_) maps.semantic = found.require("semantic");
  return maps;
}

DetectorResult TwoStageDetector::detect_one(const Maps& maps, int64_t index, const ImageMeta& meta, bool rescale,
                                            const DetectorTestOptions& test, Trace* stages,
                                            RoiStages* roi_stages) const {
  const RcnnTestOptions& rcnn = task_ == DetectorTask::panoptic ? test.panoptic.instances : test.rcnn;
  const Proposals proposals = rpn_head_.propose(maps.rpn, index, meta.shown, test.rpn);
  if (stages != nullptr) {
    stages->add("proposalBoxes" + std::to_string(index), proposals.boxes);
    stages->add("proposalScores" + std::to_string(index), proposals.scores);
  }
  const Detections found = roi_head_.detect(maps.levels, index, proposals.boxes, meta, rescale, rcnn, roi_stages);
  DetectorResult result;
  result.found = {found.boxes.to(at::kCPU, at::kFloat).contiguous(), found.scores.to(at::kCPU, at::kFloat).contiguous(),
                  found.labels.to(at::kCPU).contiguous()};
  if (task_ == DetectorTask::boxes) return result;

  const ImageSize canvas = canvas_of(meta, rescale, task_, maps.input);
  result.masks = no_masks();
  if (found.boxes.size(0) > 0) {
    const MaskBoxes boxes = mask_boxes(found.boxes, meta, rescale);
    const at::Tensor masks =
        wide(roi_head_.mask_logits(maps.levels, index, boxes.network, found.labels, roi_stages)).sigmoid();
    result.masks = mask_runs(masks, boxes.canvas, canvas.height, canvas.width, rcnn.mask_thr_binary);
  }
  if (task_ == DetectorTask::masks) return result;

  const ImageSize shown = rescale ? meta.shown : maps.input;
  const LogitView view = {{{maps.semantic.narrow(0, index, 1), 0, 0, maps.input}}, maps.input, shown};
  const at::Tensor classes = segmentation_maps({view}, canvas, {}).labels.squeeze(0);
  const SemanticFpnHeadOptions& semantic = semantic_head_->options();
  result.map = fuse_panoptic(result.found.scores, result.found.labels, result.masks, classes,
                             {semantic.num_things_classes, semantic.num_stuff_classes, test.panoptic.mask_overlap,
                              test.panoptic.stuff_area_limit})
                   .ids;
  if (stages != nullptr) {
    stages->add("semFull" + std::to_string(index),
                resize_logits(maps.semantic.narrow(0, index, 1), maps.input, shown, canvas));
  }
  return result;
}

std::vector<DetectorResult> TwoStageDetector::forward(const at::Tensor& image, const std::vector<ImageMeta>& metas,
                                                      bool rescale, const DetectorTestOptions& test,
                                                      Trace* stages) const {
  const Maps maps = stages != nullptr ? compute_maps(image, stages) : replay_maps(image);
  RoiStages roi_stages;
  std::vector<DetectorResult> results;
  for (size_t i = 0; i < metas.size(); ++i) {
    results.push_back(detect_one(maps, static_cast<int64_t>(i), metas[i], rescale, test, stages,
                                 stages != nullptr ? &roi_stages : nullptr));
  }
  if (stages != nullptr) roi_stages.flush(stages);
  return results;
}

void TwoStageDetector::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  backbone_.initialize(generator);
  neck_->initialize(generator);
  rpn_head_.initialize(generator);
  roi_head_.initialize(generator);
  if (semantic_head_) semantic_head_->initialize(generator);
}

NamedTensors TwoStageDetector::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method == "forward") return run_forward(inputs, options);
  if (method == "detect") return run_detect(inputs, options);
  return Module::run(method, inputs, options);
}

NamedTensors TwoStageDetector::run_forward(const NamedTensors& inputs, const Options& options) const {
  options.reject_unknown({"stages", "rescale", "imgShapes", "oriShapes", "scaleFactors", "testCfg"});
  const auto test = DetectorTestOptions::parse(options.child("testCfg"), test_);
  const at::Tensor& image = inputs.require("image");
  check_feature_map(image, "image", backbone_.options().in_channels, backbone_.first_parameter());
  const auto metas = parse_metas(options, image.size(0), {image.size(2), image.size(3)});
  for (const ImageMeta& meta : metas) {
    if (meta.shown.height <= image.size(2) && meta.shown.width <= image.size(3)) continue;
    throw Error::argument("ERR_OPTION_VALUE", "imgShapes", "sizes within the input's",
                          std::to_string(meta.shown.height) + " x " + std::to_string(meta.shown.width));
  }
  NamedTensors outputs, stages;
  const auto results = forward(image, metas, options.boolean("rescale", true), test,
                               options.boolean("stages", false) ? &stages : nullptr);
  for (size_t i = 0; i < results.size(); ++i) add_result(outputs, i, results[i]);
  for (const auto& [name, tensor] : stages.entries()) outputs.add(name, tensor);
  return outputs;
}

NamedTensors TwoStageDetector::run_detect(const NamedTensors& inputs, const Options& options) const {
  options.reject_unknown({"preprocess", "testCfg"});
  const auto test = DetectorTestOptions::parse(options.child("testCfg"), test_);
  const auto preprocess = PreprocessOptions::parse(options.child("preprocess"));
  std::vector<at::Tensor> images;
  std::vector<ImageMeta> metas;
  for (size_t i = 0; i < inputs.entries().size(); ++i) {
    const at::Tensor& image = inputs.require("image" + std::to_string(i));
    const PreparedImage prepared = prepare_image(image, preprocess);
    images.push_back(prepared.input);
    metas.push_back(meta_of({image.size(0), image.size(1)}, prepared.content));
  }
  const auto type = backbone_.first_parameter().options();
  std::vector<DetectorResult> results(images.size());
  for (const std::vector<size_t>& members : passes_of(images, type.device())) {
    std::vector<at::Tensor> batch;
    std::vector<ImageMeta> shown;
    for (const size_t i : members) {
      batch.push_back(std::exchange(images[i], {}));
      shown.push_back(metas[i]);
    }
    at::Tensor joined = batch.size() == 1 ? std::move(batch.front()) : at::cat(batch);
    batch.clear();
    auto found = forward(joined.to(type), shown, true, test);
    for (size_t i = 0; i < members.size(); ++i) results[members[i]] = std::move(found[i]);
  }
  NamedTensors outputs;
  for (size_t i = 0; i < results.size(); ++i) add_result(outputs, i, results[i]);
  return outputs;
}

std::unique_ptr<Module> make_faster_rcnn(const Options& options) {
  return std::make_unique<TwoStageDetector>(DetectorTask::boxes, options);
}

std::unique_ptr<Module> make_mask_rcnn(const Options& options) {
  return std::make_unique<TwoStageDetector>(DetectorTask::masks, options);
}

std::unique_ptr<Module> make_panoptic_fpn(const Options& options) {
  return std::make_unique<TwoStageDetector>(DetectorTask::panoptic, options);
}

}  // namespace freqfusion
