#include "native/modules/heads/light_ham_head.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/upsample_bilinear2d.h>

#include <cstring>
#include <numeric>

#include "native/modules/error.h"

namespace freqfusion {
namespace {

void refuse(const char* name, const std::string& expected, const std::string& actual) {
  throw Error::argument("ERR_OPTION_VALUE", name, expected, actual);
}

const LightHamHeadOptions& checked(const LightHamHeadOptions& options) {
  const size_t levels = options.in_channels.size();
  if (levels < (options.freq_aware ? 2 : 1)) {
    refuse("inChannels", options.freq_aware ? "at least two levels" : "at least one level", std::to_string(levels));
  }
  if (options.in_index.size() != levels) {
    refuse("inIndex", "one index for each of the " + std::to_string(levels) + " inChannels",
           std::to_string(options.in_index.size()));
  }
  for (const int64_t channels : options.in_channels) {
    if (channels < 1) refuse("inChannels", "positive integers", std::to_string(channels));
  }
  for (const int64_t index : options.in_index) {
    if (index < 0) refuse("inIndex", "indices from 0", std::to_string(index));
  }
  if (options.channels < 1) refuse("channels", "an integer from 1", std::to_string(options.channels));
  if (options.num_classes < 1) refuse("numClasses", "an integer from 1", std::to_string(options.num_classes));
  if (options.compress_ratio < 1) refuse("compressRatio", "an integer from 1", std::to_string(options.compress_ratio));
  return options;
}

int64_t sum(const std::vector<int64_t>& values) { return std::accumulate(values.begin(), values.end(), int64_t{0}); }

FreqFusionOptions parse_fusion(const Options& options) {
  FreqFusionOptions fusion = parse_freqfusion_options(options, 0, 0);
  if (!options.has("featureResample")) fusion.feature_resample = true;
  if (!options.has("hammingWindow")) fusion.hamming_window = false;
  if (!options.has("directionFeat")) fusion.direction_feat = DirectionFeat::sim;
  if (!options.has("sizePolicy")) fusion.size_policy = SizePolicy::pad;
  return fusion;
}

bool pixels_follow(const at::Tensor& map) { return map.is_cpu() && map.is_contiguous(at::MemoryFormat::ChannelsLast); }

// The channels of hr and lr in `groups` blocks each, block by block in turn, for maps in channels-last memory: pixel
// by pixel on all threads, where at::cat copies slices of channels one after the other on one.
at::Tensor interleave(const at::Tensor& hr, const at::Tensor& lr, int64_t groups) {
  at::Tensor both = at::empty({hr.size(0), hr.size(1) + lr.size(1), hr.size(2), hr.size(3)}, hr.options(),
                              at::MemoryFormat::ChannelsLast);
  const auto bytes = static_cast<int64_t>(hr.element_size());
  const int64_t hr_block = hr.size(1) / groups * bytes, lr_block = lr.size(1) / groups * bytes;
  const auto* hr_from = static_cast<const char*>(hr.const_data_ptr());
  const auto* lr_from = static_cast<const char*>(lr.const_data_ptr());
  auto* to = static_cast<char*>(both.mutable_data_ptr());
  // Block i of a map is block i % groups of pixel i / groups.
  at::parallel_for(0, hr.size(0) * hr.size(2) * hr.size(3) * groups, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      char* block = to + i * (hr_block + lr_block);
      std::memcpy(block, hr_from + i * hr_block, static_cast<size_t>(hr_block));
      std::memcpy(block + hr_block, lr_from + i * lr_block, static_cast<size_t>(lr_block));
    }
  });
  return both;
}

std::string numbered(const std::string& name, size_t index) { return name + '.' + std::to_string(index); }

}  // namespace

LightHamHeadOptions LightHamHeadOptions::parse(const Options& options) {
  LightHamHeadOptions parsed;
  parsed.freq_aware = options.choice("type", "LightHamHeadFreqAware", {"LightHamHead", "LightHamHeadFreqAware"}) ==
                      "LightHamHeadFreqAware";
  std::vector<std::string> known = {"type",      "inChannels", "inIndex",      "channels",   "hamChannels",
                                    "hamKwargs", "numClasses", "alignCorners", "normGroups", "dropoutRatio"};
  if (parsed.freq_aware) {
    known.insert(known.end(), {"compressRatio", "low2highResidual", "high2lowResidual"});
    for (const std::string& name : freqfusion_option_names()) {
      if (name != "hrChannels" && name != "lrChannels" && name != "compressedChannels") known.push_back(name);
    }
  }
  options.reject_unknown(known);
  parsed.in_channels = options.integers("inChannels", parsed.in_channels);
  parsed.in_index = options.integers("inIndex", parsed.in_index);
  parsed.channels = options.integer("channels", parsed.channels);
  parsed.num_classes = options.integer("numClasses", parsed.num_classes);
  parsed.align_corners = options.boolean("alignCorners", false);
  parsed.ham.ham_channels = options.integer("hamChannels", parsed.channels);
  parsed.ham.norm_groups = options.integer("normGroups", parsed.ham.norm_groups);
  parsed.ham.parse_ham_kwargs(options.child("hamKwargs"));
  options.number("dropoutRatio", 0.1);
  if (!parsed.freq_aware) return parsed;
  parsed.compress_ratio = options.integer("compressRatio", parsed.compress_ratio);
  parsed.low2high_residual = options.boolean("low2highResidual", false);
  parsed.high2low_residual = options.boolean("high2lowResidual", false);
  parsed.fusion = parse_fusion(options);
  return parsed;
}

LightHamHead::LightHamHead(const LightHamHeadOptions& options)
    : options_(checked(options)),
      conv_seg_(options.channels, options.num_classes),
      squeeze_(sum(options.in_channels), options.ham.ham_channels, options.ham.norm_groups, Activation::relu),
      hamburger_(options.ham),
      align_(options.ham.ham_channels, options.channels, options.ham.norm_groups, Activation::relu) {
  register_child("conv_seg", &conv_seg_);
  register_child("squeeze", &squeeze_);
  register_child("hamburger", &hamburger_);
  register_child("align", &align_);
  if (options_.freq_aware) build_fusions();
}

void LightHamHead::build_fusions() {
  const int64_t groups = options_.fusion.feature_resample ? options_.fusion.feature_resample_group : 1;
  int64_t lr_channels = options_.in_channels.back();
  for (size_t level = options_.in_channels.size() - 1; level-- > 0;) {
    const int64_t hr_channels = options_.in_channels[level];
    if (groups < 1 || hr_channels % groups != 0 || lr_channels % groups != 0) {
      refuse("featureResampleGroup",
             "a divisor of " + std::to_string(hr_channels) + " and " + std::to_string(lr_channels) + " channels",
             std::to_string(groups));
    }
    FreqFusionOptions fusion = options_.fusion;
    fusion.hr_channels = hr_channels;
    fusion.lr_channels = lr_channels;
    fusion.compressed_channels = (lr_channels + hr_channels) / options_.compress_ratio;
    fusions_.push_back(std::make_unique<FreqFusion>(fusion));
    if (options_.low2high_residual) low2high_convs_.push_back(std::make_unique<Conv2d>(lr_channels, hr_channels));
    if (options_.high2low_residual) high2low_convs_.push_back(std::make_unique<Conv2d>(hr_channels, lr_channels));
    lr_channels += hr_channels;
  }
  for (size_t i = 0; i < fusions_.size(); ++i) register_child(numbered("freqfusions", i), fusions_[i].get());
  for (size_t i = 0; i < low2high_convs_.size(); ++i) {
    register_child(numbered("low2high_convs", i), low2high_convs_[i].get());
  }
  for (size_t i = 0; i < high2low_convs_.size(); ++i) {
    register_child(numbered("high2low_convs", i), high2low_convs_[i].get());
  }
}

at::Tensor LightHamHead::concat(const at::Tensor& hr, const at::Tensor& lr) const {
  const bool plain = !options_.fusion.feature_resample || options_.low2high_residual;
  const int64_t groups = plain ? 1 : options_.fusion.feature_resample_group;
  if (pixels_follow(hr) && pixels_follow(lr)) return interleave(hr, lr, groups);
  const int64_t hr_block = hr.size(1) / groups, lr_block = lr.size(1) / groups;
  std::vector<at::Tensor> blocks;
  for (int64_t g = 0; g < groups; ++g) {
    blocks.push_back(hr.narrow(1, g * hr_block, hr_block));
    blocks.push_back(lr.narrow(1, g * lr_block, lr_block));
  }
  return at::cat(blocks, 1);
}

at::Tensor LightHamHead::join(const std::vector<at::Tensor>& levels, Trace* stages) const {
  const at::ScalarType dtype = conv_seg_.weight.scalar_type();
  at::Tensor lr = levels.back().to(dtype);
  for (size_t i = 0; i < fusions_.size(); ++i) {
    const FreqFusion::Fused fused = fusions_[i]->forward(levels[levels.size() - 2 - i].to(dtype), lr);
    if (stages != nullptr) {
      const std::string step = "ff" + std::to_string(i);
      stages->add(step + "MaskLr", fused.mask);
      stages->add(step + "HrFeat", fused.hr);
      stages->add(step + "LrFeat", fused.lr);
    }
    const at::Tensor hr = options_.low2high_residual ? low2high_convs_[i]->forward(fused.lr).add_(fused.hr) : fused.hr;
    lr = concat(hr, fused.lr);
  }
  return lr;
}

at::Tensor LightHamHead::join_resized(const std::vector<at::Tensor>& levels) const {
  const auto size = levels.front().sizes().slice(2);
  std::vector<at::Tensor> maps = {levels.front()};
  for (size_t i = 1; i < levels.size(); ++i) {
    const bool fits = levels[i].sizes().slice(2).equals(size);
    maps.push_back(fits ? levels[i]
                        : at::upsample_bilinear2d(levels[i], size, options_.align_corners, std::nullopt, std::nullopt));
  }
  return at::cat(maps, 1);
}

at::Tensor LightHamHead::forward(const std::vector<at::Tensor>& levels, const at::Tensor& nmf_bases,
                                 Trace* stages) const {
  const at::ScalarType dtype = conv_seg_.weight.scalar_type();
  const auto note = [&](const char* name, const at::Tensor& map) {
    if (stages != nullptr) stages->add(name, map.to(dtype));
  };
  if (!classifier_) classifier_.emplace(weights_of(conv_seg_), compute_type(conv_seg_.weight));
  at::Tensor x = options_.freq_aware ? join(levels, stages) : join_resized(levels);
  x = squeeze_.forward(x.to(compute_type(conv_seg_.weight)));
  note("squeeze", x);
  x = hamburger_.forward(x, nmf_bases, stages);
  note("hamburger", x);
  x = align_.forward(x);
  note("align", x);
  return classifier_->forward(x).to(dtype);
}

void LightHamHead::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  initialize(generator);
}

void LightHamHead::initialize(at::Generator& generator) {
  squeeze_.initialize(generator);
  hamburger_.initialize(generator);
  align_.initialize(generator);
  for (const auto& fusion : fusions_) fusion->initialize(generator);
  for (const auto& conv : low2high_convs_) fill_conv_default(*conv, generator);
  for (const auto& conv : high2low_convs_) fill_conv_default(*conv, generator);
  fill_conv_normal(conv_seg_, 0.01, generator);
  changed();
}

NamedTensors LightHamHead::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method != "forward") return Module::run(method, inputs, options);
  options.reject_unknown({"stages"});
  std::vector<at::Tensor> levels;
  for (size_t i = 0; i < options_.in_channels.size(); ++i) {
    const std::string name = 'x' + std::to_string(i + 1);
    levels.push_back(inputs.require(name));
    check_feature_map(levels.back(), name.c_str(), options_.in_channels[i], conv_seg_.weight);
  }
  const at::Tensor* bases = inputs.find("nmfBases");
  NamedTensors stages, outputs;
  outputs.add("logits", forward(levels, bases != nullptr ? *bases : at::Tensor(),
                                options.boolean("stages", false) ? &stages : nullptr));
  for (const auto& [name, tensor] : stages.entries()) outputs.add(name, tensor);
  return outputs;
}

std::unique_ptr<Module> make_light_ham_head(const Options& options) {
  return std::make_unique<LightHamHead>(LightHamHeadOptions::parse(options));
}

}  // namespace freqfusion
