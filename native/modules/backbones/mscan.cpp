#include "native/modules/backbones/mscan.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <array>
#include <cmath>
#include <optional>
#include <string>

#include "native/modules/error.h"
#include "native/modules/folding.h"
#include "native/ops/conv_mlp.h"
#include "native/ops/panels.h"
#include "native/ops/strip_convs.h"

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

// A 3x3 convolution of stride 2 with its batch norm folded in.
struct PatchConv {
  at::Tensor weight, bias;

  PatchConv(const Conv2d& conv, const BatchNorm2d& norm) {
    const ConvWeights folded = before(weights_of(conv), affine_of(norm));
    const at::ScalarType dtype = compute_type(conv.weight);
    weight = folded.weight.to(dtype).contiguous(at::MemoryFormat::ChannelsLast);
    bias = folded.bias.to(dtype);
  }
  at::Tensor forward(const at::Tensor& x) const { return at::conv2d(x, weight, bias, {2, 2}, {1, 1}); }
};

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
    if (!folded_) folded_.emplace(Folded{{conv1_, norm1_}, {conv2_, norm2_}});
    at::Tensor x = folded_->first.forward(image);
    return folded_->second.forward(at::gelu_(x));
  }
  void initialize(at::Generator& generator) {
    start(conv1_, generator);
    start(norm1_);
    start(conv2_, generator);
    start(norm2_);
    changed();
  }
  const at::Tensor& first_parameter() const { return conv1_.weight; }

 protected:
  void changed() override { folded_.reset(); }

 private:
  struct Folded {
    PatchConv first, second;
  };
  Conv2d conv1_;
  BatchNorm2d norm1_;
  Conv2d conv2_;
  BatchNorm2d norm2_;
  mutable std::optional<Folded> folded_;
};

// The entry of the later stages.
class PatchEmbed final : public Module {
 public:
  PatchEmbed(int64_t in, int64_t out) : conv_(in, out, strided()), norm_(out) {
    register_child("proj", &conv_);
    register_child("norm", &norm_);
  }
  at::Tensor forward(const at::Tensor& x) const {
    if (!folded_) folded_.emplace(conv_, norm_);
    return folded_->forward(x);
  }
  void initialize(at::Generator& generator) {
    start(conv_, generator);
    start(norm_);
    changed();
  }

 protected:
  void changed() override { folded_.reset(); }

 private:
  Conv2d conv_;
  BatchNorm2d norm_;
  mutable std::optional<PatchConv> folded_;
};

// Multi-scale convolutional attention: strips of 7, 11 and 21 in both directions weight the features.
struct StripGate final : public Module {
  explicit StripGate(int64_t dim)
      : conv0(dim, dim, depthwise(dim, square(5))),
        conv0_1(dim, dim, depthwise(dim, {1, 7})),
        conv0_2(dim, dim, depthwise(dim, {7, 1})),
        conv1_1(dim, dim, depthwise(dim, {1, 11})),
        conv1_2(dim, dim, depthwise(dim, {11, 1})),
        conv2_1(dim, dim, depthwise(dim, {1, 21})),
        conv2_2(dim, dim, depthwise(dim, {21, 1})),
        conv3(dim, dim) {
    register_child("conv0", &conv0);
    register_child("conv0_1", &conv0_1);
    register_child("conv0_2", &conv0_2);
    register_child("conv1_1", &conv1_1);
    register_child("conv1_2", &conv1_2);
    register_child("conv2_1", &conv2_1);
    register_child("conv2_2", &conv2_2);
    register_child("conv3", &conv3);
  }
  // In the order of strip_convs.
  std::array<const Conv2d*, 7> strips() const {
    return {&conv0, &conv0_1, &conv0_2, &conv1_1, &conv1_2, &conv2_1, &conv2_2};
  }
  void initialize(at::Generator& generator) {
    for (Conv2d* conv : {&conv0, &conv0_1, &conv0_2, &conv1_1, &conv1_2, &conv2_1, &conv2_2, &conv3}) {
      start(*conv, generator);
    }
  }

  Conv2d conv0, conv0_1, conv0_2, conv1_1, conv1_2, conv2_1, conv2_2, conv3;
};

struct Attention final : public Module {
  explicit Attention(int64_t dim) : proj_1(dim, dim), gate(dim), proj_2(dim, dim) {
    register_child("proj_1", &proj_1);
    register_child("spatial_gating_unit", &gate);
    register_child("proj_2", &proj_2);
  }
  void initialize(at::Generator& generator) {
    start(proj_1, generator);
    gate.initialize(generator);
    start(proj_2, generator);
  }

  Conv2d proj_1;
  StripGate gate;
  Conv2d proj_2;
};

struct Mlp final : public Module {
  Mlp(int64_t dim, int64_t hidden)
      : fc1(dim, hidden), dwconv(hidden, hidden, depthwise(hidden, square(3))), fc2(hidden, dim) {
    register_child("fc1", &fc1);
    register_child("dwconv.dwconv", &dwconv);
    register_child("fc2", &fc2);
  }
  void initialize(at::Generator& generator) {
    start(fc1, generator);
    start(dwconv, generator);
    start(fc2, generator);
  }

  Conv2d fc1, dwconv, fc2;
};

// x + scale_1 * attention(norm1(x)), then x + scale_2 * mlp(norm2(x)), where
//   attention(n) = n + proj_2(conv3(strips(u)) * u), u = gelu(proj_1(n)).
// Computed with the norms folded into proj_1, fc1 and the residual, and the scales into proj_2 and fc2.
class Block final : public Module {
 public:
  Block(int64_t dim, int64_t hidden) : hidden_(hidden), norm1_(dim), attn_(dim), norm2_(dim), mlp_(dim, hidden) {
    register_parameter("layer_scale_1", &layer_scale_1_, {dim});
    register_parameter("layer_scale_2", &layer_scale_2_, {dim});
    register_child("norm1", &norm1_);
    register_child("attn", &attn_);
    register_child("norm2", &norm2_);
    register_child("mlp", &mlp_);
  }
  at::Tensor forward(const at::Tensor& x) const {
    if (!folded_) folded_.emplace(fold());
    const Folded& with = *folded_;
    const at::Tensor features = with.proj_1.forward(x, {.activation = "gelu"});
    const at::Tensor strips = strip_convs(features, with.strips, with.strips_bias);
    const at::Tensor gated = with.conv3.forward(strips, {.factor = features});
    const at::Tensor attended = with.proj_2.forward(gated, {.residual = x, .residual_scale = with.shortcut});
    return conv_mlp(attended, with.mlp, hidden_);
  }
  void initialize(at::Generator& generator) {
    fill_constant(layer_scale_1_, kLayerScaleStart);
    fill_constant(layer_scale_2_, kLayerScaleStart);
    start(norm1_);
    attn_.initialize(generator);
    start(norm2_);
    mlp_.initialize(generator);
    changed();
  }

 protected:
  void changed() override { folded_.reset(); }

 private:
  struct Folded {
    PackedPointwise proj_1, conv3, proj_2;
    at::Tensor strips, strips_bias;
    at::Tensor shortcut;  // what x is multiplied by where the attention's result is added to it
    ConvMlpWeights mlp;
  };

  Folded fold() const {
    const at::ScalarType dtype = compute_type(layer_scale_1_);
    const auto scaled = [](const at::Tensor& layer_scale, const ConvWeights& conv) {
      const at::Tensor scale = layer_scale.to(at::kDouble);
      return before(conv, {scale, at::zeros_like(scale)});
    };
    const ChannelAffine norm1 = affine_of(norm1_), norm2 = affine_of(norm2_);
    Folded folded;
    folded.proj_1 = PackedPointwise(after(norm1, weights_of(attn_.proj_1)), dtype);
    folded.conv3 = PackedPointwise(weights_of(attn_.gate.conv3), dtype);
    // The norm's shift is part of the shortcut, and thus of proj_2's bias.
    ConvWeights proj_2 = weights_of(attn_.proj_2);
    proj_2.bias = proj_2.bias.add(norm1.shift);
    folded.proj_2 = PackedPointwise(scaled(layer_scale_1_, proj_2), dtype);
    folded.shortcut = pack_vector(layer_scale_1_.to(at::kDouble).mul(norm1.scale).add(1).to(dtype));

    std::vector<at::Tensor> taps, biases;
    for (const Conv2d* conv : attn_.gate.strips()) {
      const ConvWeights weights = weights_of(*conv);
      taps.push_back(pack_depthwise(weights.weight.to(dtype)));
      biases.push_back(pack_vector(weights.bias.to(dtype)).view({-1, kPanelOutputs}));
    }
    folded.strips = at::cat(taps, 1);
    folded.strips_bias = at::stack(biases, 1);

    const ConvWeights fc1 = after(norm2, weights_of(mlp_.fc1)), mix = weights_of(mlp_.dwconv),
                      fc2 = scaled(layer_scale_2_, weights_of(mlp_.fc2));
    folded.mlp = {pack_matrix(fc1.weight.to(dtype)),    pack_vector(fc1.bias.to(dtype)),
                  pack_depthwise(mix.weight.to(dtype)), pack_vector(mix.bias.to(dtype)),
                  pack_matrix(fc2.weight.to(dtype)),    pack_vector(fc2.bias.to(dtype))};
    return folded;
  }

  const int64_t hidden_;
  at::Tensor layer_scale_1_, layer_scale_2_;
  BatchNorm2d norm1_;
  Attention attn_;
  BatchNorm2d norm2_;
  Mlp mlp_;
  mutable std::optional<Folded> folded_;
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
    for (const auto& block : blocks_) x = block->forward(x);
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
  at::Tensor x = image.to(compute_type(image)).contiguous(at::MemoryFormat::ChannelsLast);
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
  const at::ScalarType dtype = first_parameter().scalar_type();
  for (size_t i = 0; i < maps.size(); ++i) outputs.add("stage" + std::to_string(i + 1), maps[i].to(dtype));
  return outputs;
}

std::unique_ptr<Module> make_mscan(const Options& options) {
  return std::make_unique<Mscan>(MscanOptions::parse(options));
}

}  // namespace freqfusion
