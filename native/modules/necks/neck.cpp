#include "native/modules/necks/neck.h"

#include <utility>

#include "native/modules/error.h"

namespace freqfusion {
namespace {

std::string level_name(char letter, size_t index) { return letter + std::to_string(index + 2); }

const NeckOptions& checked(const NeckOptions& options) {
  const auto refuse = [](const char* name, const std::string& expected, int64_t actual) {
    throw Error::argument("ERR_OPTION_VALUE", name, expected, std::to_string(actual));
  };
  const auto levels = static_cast<int64_t>(options.in_channels.size());
  if (levels < 1 || levels > 16) refuse("inChannels", "1 to 16 levels", levels);
  for (const int64_t channels : options.in_channels) {
    if (channels < 1) refuse("inChannels", "integers from 1", channels);
  }
  if (options.out_channels < 1) refuse("outChannels", "an integer from 1", options.out_channels);
  if (options.num_outs < levels || options.num_outs > 32) {
    refuse("numOuts", "an integer from " + std::to_string(levels) + ", the number of levels, to 32", options.num_outs);
  }
  return options;
}

}  // namespace

Neck::Neck(const NeckOptions& options, int64_t extra_laterals) : options_(checked(options)) {
  const int64_t out = options.out_channels;
  for (const int64_t in : options.in_channels) laterals_.push_back(std::make_unique<NeckConv>(in, out, 1));
  for (int64_t i = 0; i < extra_laterals; ++i) {
    const int64_t in = i == 0 ? options.in_channels.back() : out;
    laterals_.push_back(std::make_unique<NeckConv>(in, out, 3, 2));
  }
  for (size_t i = 0; i < laterals_.size(); ++i) outputs_.push_back(std::make_unique<NeckConv>(out, out, 3));
  for (size_t i = 0; i < laterals_.size(); ++i)
    register_child("lateral_convs." + std::to_string(i), laterals_[i].get());
  for (size_t i = 0; i < outputs_.size(); ++i) register_child("fpn_convs." + std::to_string(i), outputs_[i].get());
}

std::vector<at::Tensor> Neck::forward(std::vector<at::Tensor> levels) const {
  check(levels);
  const size_t count = laterals_.size();
  std::vector<at::Tensor> laterals;
  at::Tensor last = levels.back();
  for (size_t i = 0; i < count; ++i) {
    const bool given = i < levels.size();
    laterals.push_back(laterals_[i]->conv.forward(given ? levels[i] : last));
    if (given) {
      levels[i].reset();
    } else {
      last = laterals.back();
    }
  }
  last.reset();
  std::vector<at::Tensor> outputs(count);
  for (size_t i = count; i-- > 0;) {
    if (i > 0) laterals[i - 1] = join(i - 1, std::move(laterals[i - 1]), laterals[i]);
    outputs[i] = outputs_[i]->conv.forward(laterals[i]);
    laterals[i].reset();
  }
  extend(outputs);
  return outputs;
}

void Neck::extend(std::vector<at::Tensor>&) const {}

void Neck::check(const std::vector<at::Tensor>& levels) const {
  const size_t count = options_.in_channels.size();
  if (levels.size() != count) {
    throw Error::argument("ERR_SHAPE", "levels", std::to_string(count) + " maps, one for each of inChannels",
                          std::to_string(levels.size()));
  }
  // 16-bit networks hand their maps over in the type that they compute in.
  const at::Tensor like = first_parameter().to(compute_type(first_parameter()));
  for (size_t i = 0; i < count; ++i) {
    check_feature_map(levels[i], level_name('c', i).c_str(), options_.in_channels[i], like);
    if (levels[i].size(0) != levels[0].size(0)) {
      throw Error::argument("ERR_SHAPE", level_name('c', i), "the batch of c2 " + shape_text(levels[0]),
                            shape_text(levels[i]));
    }
  }
}

void Neck::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  initialize(generator);
}

void Neck::initialize(at::Generator& generator) {
  for (const auto* convs : {&laterals_, &outputs_}) {
    for (const auto& each : *convs) {
      fill_conv_xavier(each->conv, generator);
      each->conv.changed();
    }
  }
}

NamedTensors Neck::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method != "forward") return Module::run(method, inputs, options);
  options.reject_unknown({});
  const at::ScalarType dtype = first_parameter().scalar_type();
  std::vector<at::Tensor> levels;
  for (size_t i = 0; i < options_.in_channels.size(); ++i) {
    const std::string name = level_name('c', i);
    const at::Tensor& level = inputs.require(name);
    check_feature_map(level, name.c_str(), options_.in_channels[i], first_parameter());
    levels.push_back(level.to(compute_type(level)));
  }
  NamedTensors outputs;
  const std::vector<at::Tensor> maps = forward(std::move(levels));
  for (size_t i = 0; i < maps.size(); ++i) outputs.add(level_name('p', i), maps[i].to(dtype));
  return outputs;
}

at::Tensor add_cropped(const at::Tensor& finer, const at::Tensor& coarser) {
  if (coarser.size(2) < finer.size(2) || coarser.size(3) < finer.size(3)) {
    throw Error::argument("ERR_SHAPE", "a level of the pyramid",
                          "at most the height and width of the coarser one when that has grown, " + shape_text(coarser),
                          shape_text(finer));
  }
  return at::Tensor(finer).add_(coarser.narrow(2, 0, finer.size(2)).narrow(3, 0, finer.size(3)));
}

}  // namespace freqfusion
