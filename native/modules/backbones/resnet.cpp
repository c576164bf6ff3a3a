#include "native/modules/backbones/resnet.h"

#include <ATen/ops/max_pool2d.h>

#include <algorithm>
#include <array>
#include <string>

#include "native/modules/error.h"

namespace freqfusion {
namespace {

struct Depth {
  int64_t layers;
  bool bottleneck;
  std::array<int64_t, 4> blocks;
};

constexpr Depth kDepths[] = {
    {18, false, {2, 2, 2, 2}},  {34, false, {3, 4, 6, 3}},  {50, true, {3, 4, 6, 3}},
    {101, true, {3, 4, 23, 3}}, {152, true, {3, 8, 36, 3}},
};

const Depth& depth_of(int64_t layers) {
  for (const Depth& depth : kDepths) {
    if (depth.layers == layers) return depth;
  }
  throw Error::argument("ERR_OPTION_VALUE", "depth", "one of 18, 34, 50, 101, 152", std::to_string(layers));
}

constexpr int64_t kExpansion = 4;  // of a bottleneck's last convolution

}  // namespace

// Two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1; a norm behind each, ReLU between them and behind the sum
// with what came in.
class ResNet::Block final : public Module {
 public:
  Block(const ResNetOptions& options, int64_t in, int64_t width, int64_t stride) {
    const bool bottleneck = depth_of(options.depth).bottleneck;
    const int64_t out = bottleneck ? width * kExpansion : width;
    const bool early = options.style == ResNetStyle::caffe;
    if (bottleneck) {
      convs_.push_back(std::make_unique<NormedConv>(in, width, 1, early ? stride : 1));
      convs_.push_back(std::make_unique<NormedConv>(width, width, 3, early ? 1 : stride));
      convs_.push_back(std::make_unique<NormedConv>(width, out, 1, 1));
    } else {
      convs_.push_back(std::make_unique<NormedConv>(in, width, 3, stride));
      convs_.push_back(std::make_unique<NormedConv>(width, width, 3, 1));
    }
    for (size_t i = 0; i < convs_.size(); ++i) {
      register_child("conv" + std::to_string(i + 1), &convs_[i]->conv);
      register_child("bn" + std::to_string(i + 1), &convs_[i]->norm);
    }
    if (stride == 1 && in == out) return;
    downsample_ = std::make_unique<NormedConv>(in, out, 1, stride);
    register_child("downsample.0", &downsample_->conv);
    register_child("downsample.1", &downsample_->norm);
  }

  // Without a downsample the result takes the place of `x`: those are maps inside of a stage, or the stem's.
  at::Tensor forward(const at::Tensor& x) const {
    if (!fused_) fused_.emplace(fuse());
    at::Tensor features = x;
    for (size_t i = 0; i + 1 < fused_->convs.size(); ++i) features = fused_->convs[i].forward(features);
    at::Tensor shortcut = fused_->downsample ? fused_->downsample->forward(x) : x;
    return fused_->convs.back().forward_onto(std::move(shortcut), features);
  }

  void initialize(at::Generator& generator) {
    for (const auto& each : convs_) each->initialize(generator, each == convs_.back() ? 0 : 1);
    if (downsample_) downsample_->initialize(generator);
    changed();
  }

 protected:
  void changed() override { fused_.reset(); }

 private:
  struct Fused {
    std::vector<FusedConv> convs;
    std::optional<FusedConv> downsample;
  };
  Fused fuse() const {
    Fused fused;
    for (const auto& each : convs_) fused.convs.push_back(each->fuse(Activation::relu));
    if (downsample_) fused.downsample = downsample_->fuse(Activation::none);
    return fused;
  }

  std::vector<std::unique_ptr<NormedConv>> convs_;
  std::unique_ptr<NormedConv> downsample_;
  mutable std::optional<Fused> fused_;
};

ResNetOptions ResNetOptions::parse(const Options& options) {
  options.reject_unknown(
      {"depth", "inChannels", "baseChannels", "numStages", "outIndices", "style", "frozenStages", "normEval"});
  options.integer("frozenStages", -1);
  options.boolean("normEval", true);
  ResNetOptions parsed;
  parsed.depth = options.integer("depth", parsed.depth);
  depth_of(parsed.depth);
  parsed.in_channels = options.integer("inChannels", parsed.in_channels);
  parsed.base_channels = options.integer("baseChannels", parsed.base_channels);
  parsed.num_stages = options.integer("numStages", parsed.num_stages);
  const auto refuse = [](const char* name, const std::string& expected, int64_t actual) {
    throw Error::argument("ERR_OPTION_VALUE", name, expected, std::to_string(actual));
  };
  if (parsed.in_channels < 1) refuse("inChannels", "an integer from 1", parsed.in_channels);
  if (parsed.base_channels < 1) refuse("baseChannels", "an integer from 1", parsed.base_channels);
  if (parsed.num_stages < 1 || parsed.num_stages > 4) refuse("numStages", "an integer from 1 to 4", parsed.num_stages);
  if (!options.has("outIndices")) parsed.out_indices.resize(static_cast<size_t>(parsed.num_stages));
  parsed.out_indices = options.integers("outIndices", parsed.out_indices);
  if (parsed.out_indices.empty()) refuse("outIndices", "at least one stage", 0);
  int64_t last = -1;
  for (const int64_t index : parsed.out_indices) {
    if (index <= last || index >= parsed.num_stages) {
      refuse("outIndices", "rising indices of the " + std::to_string(parsed.num_stages) + " stages", index);
    }
    last = index;
  }
  parsed.style =
      options.choice("style", "pytorch", {"pytorch", "caffe"}) == "caffe" ? ResNetStyle::caffe : ResNetStyle::pytorch;
  return parsed;
}

int64_t ResNetOptions::channels_of(int64_t index) const {
  return (base_channels << index) * (depth_of(depth).bottleneck ? kExpansion : 1);
}

ResNet::ResNet(const ResNetOptions& options)
    : options_(options), stem_(options.in_channels, options.base_channels, 7, 2) {
  register_child("conv1", &stem_.conv);
  register_child("bn1", &stem_.norm);
  int64_t in = options.base_channels;
  for (int64_t i = 0; i < options.num_stages; ++i) {
    Stage stage;
    for (int64_t j = 0; j < depth_of(options.depth).blocks[static_cast<size_t>(i)]; ++j) {
      const int64_t stride = i > 0 && j == 0 ? 2 : 1;
      stage.push_back(std::make_unique<Block>(options, in, options.base_channels << i, stride));
      register_child("layer" + std::to_string(i + 1) + '.' + std::to_string(j), stage.back().get());
      in = options.channels_of(i);
    }
    stages_.push_back(std::move(stage));
  }
}

ResNet::~ResNet() = default;

std::vector<int64_t> ResNet::out_channels() const {
  std::vector<int64_t> channels;
  for (const int64_t index : options_.out_indices) channels.push_back(options_.channels_of(index));
  return channels;
}

std::vector<at::Tensor> ResNet::forward(const at::Tensor& image) const {
  check_feature_map(image, "image", options_.in_channels, first_parameter());
  const at::ScalarType dtype = compute_type(image);
  if (!fused_stem_) fused_stem_.emplace(stem_.fuse(Activation::relu));
  at::Tensor x = at::max_pool2d(fused_stem_->forward(image.to(dtype)), {3, 3}, {2, 2}, {1, 1});
  std::vector<at::Tensor> maps;
  for (int64_t i = 0; i <= options_.out_indices.back(); ++i) {
    for (const auto& block : stages_[static_cast<size_t>(i)]) x = block->forward(x);
    const auto& wanted = options_.out_indices;
    if (std::find(wanted.begin(), wanted.end(), i) != wanted.end()) maps.push_back(x);
  }
  return maps;
}

void ResNet::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  initialize(generator);
}

void ResNet::initialize(at::Generator& generator) {
  stem_.initialize(generator);
  for (const Stage& stage : stages_) {
    for (const auto& block : stage) block->initialize(generator);
  }
  changed();
}

NamedTensors ResNet::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method != "forward") return Module::run(method, inputs, options);
  options.reject_unknown({});
  NamedTensors outputs;
  const std::vector<at::Tensor> maps = forward(inputs.require("image"));
  for (size_t i = 0; i < maps.size(); ++i) {
    outputs.add('c' + std::to_string(options_.out_indices[i] + 2), maps[i].to(first_parameter().scalar_type()));
  }
  return outputs;
}

std::unique_ptr<Module> make_resnet(const Options& options) {
  return std::make_unique<ResNet>(ResNetOptions::parse(options));
}

}  // namespace freqfusion
