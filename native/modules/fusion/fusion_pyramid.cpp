#include "native/modules/fusion/fusion_pyramid.h"

#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>

#include <algorithm>

#include "native/modules/error.h"

namespace freqfusion {

namespace {

constexpr int64_t kMostLevels = 16;

std::string numbered(const std::string& letter, size_t number) { return letter + std::to_string(number); }

std::vector<int64_t> parse_channels(const Options& options) {
  if (!options.is_list("channels")) {
    const int64_t levels = options.integer("levels", 4);
    if (levels < 2 || levels > kMostLevels) {
      throw Error::argument("ERR_OPTION_VALUE", "levels", "an integer from 2 to " + std::to_string(kMostLevels),
                            std::to_string(levels));
    }
    return std::vector<int64_t>(static_cast<size_t>(levels), options.integer("channels"));
  }
  const std::vector<int64_t> channels = options.integers("channels", {});
  const int64_t count = static_cast<int64_t>(channels.size());
  if (count < 2 || count > kMostLevels) {
    throw Error::argument("ERR_OPTION_VALUE", "channels", "2 to " + std::to_string(kMostLevels) + " levels",
                          std::to_string(count));
  }
  if (options.integer("levels", count) != count) {
    throw Error::argument("ERR_OPTION_VALUE", "levels", std::to_string(count) + ", the length of channels",
                          std::to_string(options.integer("levels", count)));
  }
  return channels;
}

FusionRecipe parse_recipe(const Options& options) {
  const std::string name = options.choice("recipe", "concat", {"concat", "unet", "add"});
  if (name == "concat") return FusionRecipe::concat;
  return name == "unet" ? FusionRecipe::unet : FusionRecipe::add;
}

}  // namespace

FusionPyramid::FusionPyramid(const FusionPyramidOptions& options) : recipe_(options.recipe) {
  const std::vector<int64_t>& channels = options.channels;
  const bool equal = std::all_of(channels.begin(), channels.end(), [&](int64_t count) { return count == channels[0]; });
  if (recipe_ == FusionRecipe::add && !equal) {
    throw Error::argument("ERR_OPTION_VALUE", "channels", "the same count at every level for recipe 'add'",
                          "different ones");
  }
  const size_t count = channels.size() - 1;
  int64_t coarser = channels.back();
  for (size_t i = 0; i < count; ++i) {
    const int64_t own = channels[count - 1 - i];
    FreqFusionOptions fusion = options.fusion;
    fusion.hr_channels = own;
    fusion.lr_channels = coarser;
    Step step{numbered("ff", i + 1), std::make_unique<FreqFusion>(fusion), nullptr};
    if (recipe_ == FusionRecipe::unet) {
      step.conv =
          std::make_unique<Conv2d>(own + coarser, own, Conv2dOptions{.kernel = square(3), .padding = square(1)});
    }
    coarser = recipe_ == FusionRecipe::concat ? own + coarser : own;
    steps_.push_back(std::move(step));
  }
  for (const Step& step : steps_) register_child(step.name, step.fusion.get());
  for (size_t i = 0; i < count && recipe_ == FusionRecipe::unet; ++i) {
    register_child(numbered("conv", count - i), steps_[i].conv.get());
  }
}

std::vector<at::Tensor> FusionPyramid::forward(const std::vector<at::Tensor>& levels, Trace* stages) const {
  std::vector<at::Tensor> outputs(steps_.size());
  at::Tensor coarser = levels.back();
  for (size_t i = 0; i < steps_.size(); ++i) {
    const size_t level = steps_.size() - 1 - i;
    const Step& step = steps_[i];
    const FreqFusion::Fused fused = fuse(step, levels[level], coarser, level);
    if (stages != nullptr) {
      stages->add(step.name + ".maskLr", fused.mask);
      stages->add(step.name + ".hrFeat", fused.hr);
      stages->add(step.name + ".lrFeat", fused.lr);
    }
    coarser = outputs[level] = join(step, fused);
  }
  return outputs;
}

FreqFusion::Fused FusionPyramid::fuse(const Step& step, const at::Tensor& own, const at::Tensor& coarser,
                                      size_t level) const {
  try {
    return step.fusion->forward(own, coarser);
  } catch (const Error& error) {
    // hrFeat and lrFeat are the step's names: say which of the pyramid's maps they are.
    const std::string above = level + 2 > steps_.size() ? numbered("x", level + 2) : numbered("y", level + 2);
    throw Error(error.code(),
                std::string(error.what()) + " (hrFeat is " + numbered("x", level + 1) + ", lrFeat is " + above + ')',
                error.expected(), error.actual());
  }
}

at::Tensor FusionPyramid::join(const Step& step, const FreqFusion::Fused& fused) const {
  if (recipe_ == FusionRecipe::add) return at::add(fused.hr, fused.lr);
  const at::Tensor both = at::cat({fused.hr, fused.lr}, 1);
  return recipe_ == FusionRecipe::unet ? step.conv->forward(both) : both;
}

void FusionPyramid::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  for (const Step& step : steps_) {
    step.fusion->initialize(generator);
    if (step.conv) fill_conv_default(*step.conv, generator);
  }
}

NamedTensors FusionPyramid::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method != "forward") return Module::run(method, inputs, options);
  options.reject_unknown({"stages"});
  std::vector<at::Tensor> levels;
  for (size_t level = 1; level <= steps_.size() + 1; ++level) levels.push_back(inputs.require(numbered("x", level)));
  NamedTensors stages, outputs;
  const std::vector<at::Tensor> fused = forward(levels, options.boolean("stages", false) ? &stages : nullptr);
  for (size_t level = fused.size(); level >= 1; --level) outputs.add(numbered("y", level), fused[level - 1]);
  for (const auto& [name, tensor] : stages.entries()) outputs.add(name, tensor);
  return outputs;
}

std::unique_ptr<Module> make_fusion_pyramid(const Options& options) {
  std::vector<std::string> known = {"recipe", "channels", "levels"};
  for (const std::string& name : freqfusion_option_names()) {
    if (name != "hrChannels" && name != "lrChannels") known.push_back(name);
  }
  options.reject_unknown(known);
  return std::make_unique<FusionPyramid>(FusionPyramidOptions{
      .recipe = parse_recipe(options),
      .channels = parse_channels(options),
      .fusion = parse_freqfusion_options(options, 0, 0),
  });
}

}  // namespace freqfusion
