#include "native/modules/backbones/mscan.h"

#include <ATen/ops/gelu.h>

#include <cmath>
#include <string>

#include "native/modules/error.h"

namespace freqfusion {
namespace {

constexpr double kLayerScaleStart = 1e-2;

Conv2dOptions strided() { return {.kernel = square(3), .stride = square(2), .padding = square(1)}; }

Conv2dOptions depthwise(int64_t channels, Pair kernel) {
  return {.kernel = kernel, .padding = {kernel[0] / 2, kernel[1] / 2}, .groups = channels};
}

void start(Conv2d& conv, at::Generator& generator) {
  const int64_t groups = conv.in_channels() / conv.weight.size(1);
  const int64_t fan_out = conv.weight.size(2) * conv.weight.size(3) * conv.out_channels() / groups;
  fill_conv_normal(conv, std::sqrt(2.0 / static_cast<double>(fan_out)), generator);
}

void start(BatchNorm2d& norm) {
  fill_constant(norm.weight, 1);
  fill_constant(norm.bias, 0);
  fill_constant(norm.running_mean, 0);
  fill_constant(norm.running_var, 1);
  fill_constant(norm.num_batches_tracked, 0);
}

// The first stage's stem: two convolutions of stride 2.
class Stem final : public Module {
 public:
  Stem(int64_t in, int64_t out)
      : conv1_(in, out / 2, strided()), norm1_(out / 2), conv2_(out / 2, out, strided()), norm2_(out) {
    register_child("proj.0", &conv1_);
    register_child("proj.1", &norm1_);
    register_child("proj.3", &conv2_);
    register_child("proj.4", &norm2_);
  }
  at::Tensor forward(const at::Tensor& image) const {
    at::Tensor x = norm1_.forward(conv1_.forward(image));
    return norm2_.forward(conv2_.forward(at::gelu_(x)));
  }
  void initialize(at::Generator& generator) {
    start(conv1_, generator);
    start(norm1_);
    start(conv2_, generator);
    start(norm2_);
  }
  const at::Tensor& first_parameter() const { return conv1_.weight; }

 private:
  Conv2d conv1_;
  BatchNorm2d norm1_;
  Conv2d conv2_;
  BatchNorm2d norm2_;
};

// The entry of the later stages.
class PatchEmbed final : public Module {
 public:
  PatchEmbed(int64_t in, int64_t out) : conv_(in, out, strided()), norm_(out) {
    register_child("proj", &conv_);
    register_child("norm", &norm_);
  }
  at::Tensor forward(const at::Tensor& x) const { return norm_.forward(conv_.forward(x)); }
  void initialize(at::Generator& generator) {
    start(conv_, generator);
    start(norm_);
  }

 private:
  Conv2d conv_;
  BatchNorm2d norm_;
};

// Multi-scale convolutional attention: strips of 7, 11 and 21 in both directions weight the features.
class StripGate final : public Module {
 public:
  explicit StripGate(int64_t dim)
      : conv0_(dim, dim, depthwise(dim, square(5))),
        conv0_1_(dim, dim, depthwise(dim, {1, 7})),
        conv0_2_(dim, dim, depthwise(dim, {7, 1})),
        conv1_1_(dim, dim, depthwise(dim, {1, 11})),
        conv1_2_(dim, dim, depthwise(dim, {11, 1})),
        conv2_1_(dim, dim, depthwise(dim, {1, 21})),
        conv2_2_(dim, dim, depthwise(dim, {21, 1})),
        conv3_(dim, dim) {
    register_child("conv0", &conv0_);
    register_child("conv0_1", &conv0_1_);
    register_child("conv0_2", &conv0_2_);
    register_child("conv1_1", &conv1_1_);
    register_child("conv1_2", &conv1_2_);
    register_child("conv2_1", &conv2_1_);
    register_child("conv2_2", &conv2_2_);
    register_child("conv3", &conv3_);
  }
  at::Tensor forward(const at::Tensor& x) const {
    const at::Tensor a = conv0_.forward(x);
    at::Tensor sum = conv0_2_.forward(conv0_1_.forward(a));
    sum.add_(conv1_2_.forward(conv1_1_.forward(a)));
    sum.add_(conv2_2_.forward(conv2_1_.forward(a)));
    sum.add_(a);
    return conv3_.forward(sum).mul_(x);
  }
  void initialize(at::Generator& generator) {
    for (Conv2d* conv : {&conv0_, &conv0_1_, &conv0_2_, &conv1_1_, &conv1_2_, &conv2_1_, &conv2_2_, &conv3_}) {
      start(*conv, generator);
    }
  }

 private:
  Conv2d conv0_, conv0_1_, conv0_2_, conv1_1_, conv1_2_, conv2_1_, conv2_2_, conv3_;
};

class Attention final : public Module {
 public:
  explicit Attention(int64_t dim) : proj_1_(dim, dim), gate_(dim), proj_2_(dim, dim) {
    register_child("proj_1", &proj_1_);
    register_child("spatial_gating_unit", &gate_);
    register_child("proj_2", &proj_2_);
  }
  at::Tensor forward(const at::Tensor& x) const {
    at::Tensor features = proj_1_.forward(x);
    return proj_2_.forward(gate_.forward(at::gelu_(features))).add_(x);
  }
  void initialize(at::Generator& generator) {
    start(proj_1_, generator);
    gate_.initialize(generator);
    start(proj_2_, generator);
  }

 private:
  Conv2d proj_1_;
  StripGate gate_;
  Conv2d proj_2_;
};

class Mlp final : public Module {
 public:
  Mlp(int64_t dim, int64_t hidden)
      : fc1_(dim, hidden), dwconv_(hidden, hidden, depthwise(hidden, square(3))), fc2_(hidden, dim) {
    register_child("fc1", &fc1_);
    register_child("dwconv.dwconv", &dwconv_);
    register_child("fc2", &fc2_);
  }
  at::Tensor forward(const at::Tensor& x) const {
    at::Tensor hidden = dwconv_.forward(fc1_.forward(x));
    return fc2_.forward(at::gelu_(hidden));
  }
  void initialize(at::Generator& generator) {
    start(fc1_, generator);
    start(dwconv_, generator);
    start(fc2_, generator);
  }

 private:
  Conv2d fc1_, dwconv_, fc2_;
};

class Block final : public Module {
 public:
  Block(int64_t dim, int64_t hidden) : norm1_(dim), attn_(dim), norm2_(dim), mlp_(dim, hidden) {
    register_parameter("layer_scale_1", &layer_scale_1_, {dim});
    register_parameter("layer_scale_2", &layer_scale_2_, {dim});
    register_child("norm1", &norm1_);
    register_child("attn", &attn_);
    register_child("norm2", &norm2_);
    register_child("mlp", &mlp_);
  }
  // Adds to x in place: the residual stream belongs to the stage.
  void forward(at::Tensor& x) const {
    x.addcmul_(column(layer_scale_1_), attn_.forward(norm1_.forward(x)));
    x.addcmul_(column(layer_scale_2_), mlp_.forward(norm2_.forward(x)));
  }
  void initialize(at::Generator& generator) {
    fill_constant(layer_scale_1_, kLayerScaleStart);
    fill_constant(layer_scale_2_, kLayerScaleStart);
    start(norm1_);
    attn_.initialize(generator);
    start(norm2_);
    mlp_.initialize(generator);
  }

 private:
  static at::Tensor column(const at::Tensor& scale) { return scale.view({1, -1, 1, 1}); }

  at::Tensor layer_scale_1_, layer_scale_2_;
  BatchNorm2d norm1_;
  Attention attn_;
  BatchNorm2d norm2_;
  Mlp mlp_;
};

}  // namespace

class Mscan::Stage {
 public:
  Stage(const MscanOptions& options, size_t index) : norm_(options.embed_dims[index]) {
    const int64_t dim = options.embed_dims[index];
    if (index == 0) {
      stem_ = std::make_unique<Stem>(options.in_channels, dim);
    } else {
      patch_embed_ = std::make_unique<PatchEmbed>(options.embed_dims[index - 1], dim);
    }
    const auto hidden = static_cast<int64_t>(static_cast<double>(dim) * options.mlp_ratios[index]);
    for (int64_t i = 0; i < options.depths[index]; ++i) blocks_.push_back(std::make_unique<Block>(dim, hidden));
  }

  Module* entry() { return stem_ ? static_cast<Module*>(stem_.get()) : patch_embed_.get(); }
  const std::vector<std::unique_ptr<Block>>& blocks() const { return blocks_; }
  Module* norm() { return &norm_; }
  const Stem& stem() const { return *stem_; }

  at::Tensor forward(const at::Tensor& input) const {
    at::Tensor x = stem_ ? stem_->forward(input) : patch_embed_->forward(input);
    for (const auto& block : blocks_) block->forward(x);
    return norm_.forward(x);
  }

  void initialize(at::Generator& generator) {
    if (stem_) stem_->initialize(generator);
    if (patch_embed_) patch_embed_->initialize(generator);
    for (const auto& block : blocks_) block->initialize(generator);
    fill_constant(norm_.weight, 1);
    fill_constant(norm_.bias, 0);
  }

 private:
  std::unique_ptr<Stem> stem_;
  std::unique_ptr<PatchEmbed> patch_embed_;
  std::vector<std::unique_ptr<Block>> blocks_;
  LayerNorm norm_;
};

MscanOptions MscanOptions::parse(const Options& options) {
  options.reject_unknown({"inChannels", "embedDims", "mlpRatios", "depths", "dropRate", "dropPathRate"});
  options.number("dropRate", 0);
  options.number("dropPathRate", 0);
  MscanOptions parsed;
  parsed.in_channels = options.integer("inChannels", parsed.in_channels);
  parsed.embed_dims = options.integers("embedDims", parsed.embed_dims);
  parsed.mlp_ratios = options.numbers("mlpRatios", parsed.mlp_ratios);
  parsed.depths = options.integers("depths", parsed.depths);
  const auto refuse = [](const char* name, const std::string& expected, const std::string& actual) {
    throw Error::argument("ERR_OPTION_VALUE", name, expected, actual);
  };
  const size_t stages = parsed.embed_dims.size();
  if (parsed.in_channels < 1) refuse("inChannels", "an integer from 1", std::to_string(parsed.in_channels));
  if (stages < 1 || stages > 8) refuse("embedDims", "1 to 8 stages", std::to_string(stages));
  const std::string same_length = "one number for each of the " + std::to_string(stages) + " stages";
  if (parsed.depths.size() != stages) refuse("depths", same_length, std::to_string(parsed.depths.size()));
  if (parsed.mlp_ratios.size() != stages) refuse("mlpRatios", same_length, std::to_string(parsed.mlp_ratios.size()));
  for (size_t i = 0; i < stages; ++i) {
    const int64_t dim = parsed.embed_dims[i];
    if (dim < (i == 0 ? 2 : 1)) refuse("embedDims", "positive integers, the first from 2", std::to_string(dim));
    if (parsed.depths[i] < 0) refuse("depths", "integers from 0", std::to_string(parsed.depths[i]));
    if (!(static_cast<double>(dim) * parsed.mlp_ratios[i] >= 1)) {
      refuse("mlpRatios", "ratios that leave at least one hidden channel", std::to_string(parsed.mlp_ratios[i]));
    }
  }
  return parsed;
}

Mscan::Mscan(const MscanOptions& options) : options_(options) {
  for (size_t i = 0; i < options_.embed_dims.size(); ++i) {
    stages_.push_back(std::make_unique<Stage>(options_, i));
    Stage& stage = *stages_.back();
    const std::string number = std::to_string(i + 1);
    register_child("patch_embed" + number, stage.entry());
    for (size_t j = 0; j < stage.blocks().size(); ++j) {
      register_child("block" + number + '.' + std::to_string(j), stage.blocks()[j].get());
    }
    register_child("norm" + number, stage.norm());
  }
}

Mscan::~Mscan() = default;

const at::Tensor& Mscan::first_parameter() const { return stages_.front()->stem().first_parameter(); }

std::vector<at::Tensor> Mscan::forward(const at::Tensor& image) const {
  check_feature_map(image, "image", options_.in_channels, first_parameter());
  std::vector<at::Tensor> outputs;
  at::Tensor x = image.contiguous(at::MemoryFormat::ChannelsLast);
  for (const auto& stage : stages_) outputs.push_back(x = stage->forward(x));
  return outputs;
}

void Mscan::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  initialize(generator);
}

void Mscan::initialize(at::Generator& generator) {
  for (const auto& stage : stages_) stage->initialize(generator);
}

NamedTensors Mscan::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method != "forward") return Module::run(method, inputs, options);
  options.reject_unknown({});
  NamedTensors outputs;
  const std::vector<at::Tensor> maps = forward(inputs.require("image"));
  for (size_t i = 0; i < maps.size(); ++i) outputs.add("stage" + std::to_string(i + 1), maps[i]);
  return outputs;
}

std::unique_ptr<Module> make_mscan(const Options& options) {
  return std::make_unique<Mscan>(MscanOptions::parse(options));
}

}  // namespace freqfusion
