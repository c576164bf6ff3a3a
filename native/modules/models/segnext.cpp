#include "native/modules/models/segnext.h"

#include <ATen/ops/upsample_bilinear2d.h>

#include "native/modules/error.h"
#include "native/modules/models/inference.h"
#include "native/modules/network.h"
#include "native/modules/option_values.h"

namespace freqfusion {
namespace {

const LightHamHeadOptions& fitting(const LightHamHeadOptions& head, const MscanOptions& backbone) {
  for (size_t i = 0; i < head.in_index.size(); ++i) {
    const auto index = static_cast<size_t>(head.in_index[i]);
    if (head.in_index[i] < 0 || index >= backbone.embed_dims.size()) {
      throw Error::argument("ERR_OPTION_VALUE", "head.inIndex",
                            "indices of the backbone's " + std::to_string(backbone.embed_dims.size()) + " stages",
                            std::to_string(head.in_index[i]));
    }
    if (i < head.in_channels.size() && head.in_channels[i] != backbone.embed_dims[index]) {
      throw Error::argument("ERR_OPTION_VALUE", "head.inChannels",
                            std::to_string(backbone.embed_dims[index]) + " channels, the backbone's, for stage " +
                                std::to_string(index + 1),
                            std::to_string(head.in_channels[i]));
    }
  }
  return head;
}

at::Tensor optional_input(const NamedTensors& inputs, const char* name) {
  const at::Tensor* found = inputs.find(name);
  return found != nullptr ? *found : at::Tensor();
}

struct Outputs {
  SegmentationRequest maps;
  bool logits = false;

  static Outputs parse(const Options& options) {
    const Options outputs = options.child("outputs");
    outputs.reject_unknown({"labels", "scores", "probabilities", "logits"});
    return {
        {outputs.boolean("labels", true), outputs.boolean("scores", false), outputs.boolean("probabilities", false)},
        outputs.boolean("logits", false)};
  }
};

}  // namespace

SegNeXt::SegNeXt(const MscanOptions& backbone, const LightHamHeadOptions& head)
    : backbone_(backbone), decode_head_(fitting(head, backbone)) {
  register_child("backbone", &backbone_);
  register_child("decode_head", &decode_head_);
}

at::Tensor SegNeXt::forward(const at::Tensor& image, const at::Tensor& nmf_bases, Trace* stages) const {
  const std::vector<at::Tensor> maps = backbone_.forward(image);
  for (size_t i = 0; i < maps.size() && stages != nullptr; ++i) {
    stages->add("stage" + std::to_string(i + 1), maps[i].to(image.scalar_type()));
  }
  std::vector<at::Tensor> levels;
  for (const int64_t index : decode_head_.options().in_index) levels.push_back(maps[index]);
  return decode_head_.forward(levels, nmf_bases, stages);
}

void SegNeXt::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  backbone_.initialize(generator);
  decode_head_.initialize(generator);
}

NamedTensors SegNeXt::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method == "forward") return run_forward(inputs, options);
  if (method == "segment") return run_segment(inputs, options);
  if (method == "postprocess") return run_postprocess(inputs, options);
  return Module::run(method, inputs, options);
}

NamedTensors SegNeXt::run_forward(const NamedTensors& inputs, const Options& options) const {
  options.reject_unknown({"stages", "size"});
  NamedTensors stages, outputs;
  const at::Tensor logits = forward(inputs.require("image"), optional_input(inputs, "nmfBases"),
                                    options.boolean("stages", false) ? &stages : nullptr);
  outputs.add("logits", logits);
  if (options.has("size")) {
    const ImageSize size = size_option(options, "size");
    outputs.add("segLogit", at::upsample_bilinear2d(logits, {size.height, size.width},
                                                    decode_head_.options().align_corners, std::nullopt, std::nullopt));
  }
  for (const auto& [name, tensor] : stages.entries()) outputs.add(name, tensor);
  return outputs;
}

NamedTensors SegNeXt::run_segment(const NamedTensors& inputs, const Options& options) const {
  options.reject_unknown({"preprocess", "inference", "outputs"});
  const Outputs wanted = Outputs::parse(options);
  const auto preprocess = PreprocessOptions::parse(options.child("preprocess"));
  const auto inference = InferenceOptions::parse(options.child("inference"));
  if (wanted.logits && (inference.slide || inference.flip || inference.ratios.size() > 1)) {
    throw Error::argument("ERR_NOT_SUPPORTED", "outputs.logits", "one whole view of the image",
                          "several windows, scales or a mirrored view");
  }
  const at::Tensor& given_image = inputs.require("image");
  const bool single = given_image.dim() != 4;
  const at::Tensor images = single ? given_image.unsqueeze(0) : given_image;
  const at::Tensor bases = optional_input(inputs, "nmfBases");
  const auto type = backbone_.first_parameter().options();
  const TensorFunction network = [this](const NamedTensors& given) {
    NamedTensors result;
    result.add("logits", forward(given.require("image"), optional_input(given, "nmfBases")));
    return result;
  };
  const std::vector<LogitView> views = infer_views(images, preprocess, inference, type, [&](const at::Tensor& input) {
    NamedTensors given;
    given.add("image", input);
    if (bases.defined()) given.add("nmfBases", bases);
    return run_network("logits", given, network).require("logits");
  });
  const SegmentationMaps maps =
      segmentation_maps(views, {images.size(1), images.size(2)}, wanted.maps, decode_head_.options().align_corners);
  NamedTensors outputs;
  const auto add = [&](const char* name, const at::Tensor& result) {
    if (result.defined()) outputs.add(name, single ? result.squeeze(0) : result);
  };
  add("labels", maps.labels);
  if (wanted.logits) add("logits", views.front().windows.front().logits.to(at::kCPU, at::kFloat).contiguous());
  add("probabilities", maps.probabilities);
  add("scores", maps.scores);
  return outputs;
}

NamedTensors SegNeXt::run_postprocess(const NamedTensors& inputs, const Options& options) const {
  options.reject_unknown({"network", "content", "size", "outputs"});
  const at::Tensor& logits = inputs.require("logits");
  if (logits.dim() != 4 || logits.numel() == 0) {
    throw Error::argument("ERR_SHAPE", "logits", "[N, C, h, w], not empty", shape_text(logits));
  }
  if (!logits.is_floating_point()) {
    throw Error::argument("ERR_DTYPE", "logits", "a floating dtype", dtype_text(logits.scalar_type()));
  }
  const ImageSize network = size_option(options, "network", ImageSize{logits.size(2), logits.size(3)});
  const ImageSize content = size_option(options, "content", network);
  if (content.height > network.height || content.width > network.width) {
    throw Error::argument("ERR_OPTION_VALUE", "content", "a size within the network input's",
                          std::to_string(content.height) + " x " + std::to_string(content.width));
  }
  const ImageSize size = size_option(options, "size", content);
  const LogitView view = {{{logits, 0, 0, network}}, network, content};
  const SegmentationMaps maps =
      segmentation_maps({view}, size, Outputs::parse(options).maps, decode_head_.options().align_corners);
  NamedTensors outputs;
  if (maps.labels.defined()) outputs.add("labels", maps.labels);
  if (maps.probabilities.defined()) outputs.add("probabilities", maps.probabilities);
  if (maps.scores.defined()) outputs.add("scores", maps.scores);
  return outputs;
}

std::unique_ptr<Module> make_segnext(const Options& options) {
  options.reject_unknown({"backbone", "head"});
  return std::make_unique<SegNeXt>(MscanOptions::parse(options.child("backbone")),
                                   LightHamHeadOptions::parse(options.child("head")));
}

}  // namespace freqfusion
