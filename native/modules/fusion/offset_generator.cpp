#include "native/modules/fusion/offset_generator.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>

#include "native/modules/error.h"
#include "native/ops/accumulator.h"
#include "native/ops/group_norm.h"
#include "native/ops/local_similarity.h"
#include "native/ops/offset_sampler.h"
#include "native/ops/row_conv.h"
#include "native/ops/row_layout.h"
#include "native/ops/sampling_offset.h"

namespace freqfusion {

namespace {

constexpr int64_t kDilation = 2;  // of the similarity's window
constexpr int64_t kTaps = 4;      // output pixels of one low-resolution pixel

int64_t norm_groups(int64_t channels) { return channels / 8; }

std::string text(int64_t value) { return std::to_string(value); }

const OffsetGeneratorOptions& checked(const OffsetGeneratorOptions& options) {
  const int64_t channels = options.in_channels, groups = options.groups;
  if (groups < 1 || channels < groups || channels % groups != 0) {
    throw Error::argument("ERR_OPTION_VALUE", "the offset generator's channels",
                          "a multiple of its groups (" + text(groups) + ")", text(channels));
  }
  if (options.norm && (channels < 8 || channels % norm_groups(channels) != 0)) {
    throw Error::argument("ERR_OPTION_VALUE", "the offset generator's channels",
                          "at least 8 and a multiple of channels / 8 rounded down, the groups of its GroupNorm "
                          "(16, 24, 32, 64, ...; or no norm)",
                          text(channels));
  }
  if (options.kernel_size < 1 || options.kernel_size % 2 == 0) {
    throw Error::argument("ERR_OPTION_VALUE", "kernelSize", "an odd integer from 1", text(options.kernel_size));
  }
  if (options.local_window < 3 || options.local_window % 2 == 0) {
    throw Error::argument("ERR_OPTION_VALUE", "localWindow", "an odd integer from 3", text(options.local_window));
  }
  if (!options.direct_scale && options.direction_feat == DirectionFeat::sim) {
    throw Error::argument("ERR_NOT_SUPPORTED", "directionFeat",
                          "'sim_concat' where useDirectScale is false (the reference gives its offset convolutions "
                          "the features there)",
                          "'sim'");
  }
  return options;
}

// Channels that the offset (direction) and scale (magnitude) convolutions take.
int64_t direction_channels(const OffsetGeneratorOptions& options) {
  const int64_t similarities = options.local_window * options.local_window - 1;
  return options.direction_feat == DirectionFeat::sim ? similarities : options.in_channels + similarities;
}
int64_t magnitude_channels(const OffsetGeneratorOptions& options) {
  return options.direction_feat == DirectionFeat::sim ? options.in_channels : direction_channels(options);
}

Conv2dOptions same_size(const OffsetGeneratorOptions& options) {
  return {.kernel = square(options.kernel_size), .padding = square(options.kernel_size / 2)};
}

// [1, 8 * groups, 1, 1]: channel ((d * groups + g) * 2 + i) * 2 + j holds (j - 0.5) / 2 for d 0 (x) and
// (i - 0.5) / 2 for d 1 (y), the centre of the (i, j)th quarter of a pixel.
at::Tensor initial_position(int64_t groups) {
  at::Tensor position = at::empty({1, 2 * groups * kTaps, 1, 1}, at::TensorOptions().dtype(at::kFloat));
  float* value = position.mutable_data_ptr<float>();
  for (int64_t d = 0; d < 2; ++d) {
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t i = 0; i < 2; ++i) {
        for (int64_t j = 0; j < 2; ++j) *value++ = (static_cast<float>(d == 0 ? j : i) - 0.5F) / 2;
      }
    }
  }
  return position;
}

}  // namespace

DirectionFeat parse_direction_feat(const Options& options) {
  const std::string name = options.choice("directionFeat", "sim_concat", {"sim", "sim_concat"});
  return name == "sim" ? DirectionFeat::sim : DirectionFeat::sim_concat;
}

OffsetGenerator::OffsetGenerator(const OffsetGeneratorOptions& options)
    : options_(checked(options)),
      offset_(direction_channels(options), 2 * options.groups * kTaps, same_size(options)),
      hr_offset_(direction_channels(options), 2 * options.groups, same_size(options)) {
  register_buffer("init_pos", &init_pos_, initial_position(options.groups));
  register_child("offset", &offset_);
  if (options.direct_scale) {
    direct_scale_.emplace(magnitude_channels(options), 2 * options.groups * kTaps, same_size(options));
    register_child("direct_scale", &*direct_scale_);
  }
  register_child("hr_offset", &hr_offset_);
  if (options.direct_scale) {
    hr_direct_scale_.emplace(magnitude_channels(options), 2 * options.groups, same_size(options));
    register_child("hr_direct_scale", &*hr_direct_scale_);
  }
  if (options.norm) {
    norm_hr_.emplace(norm_groups(options.in_channels), options.in_channels);
    norm_lr_.emplace(norm_groups(options.in_channels), options.in_channels);
    register_child("norm_hr", &*norm_hr_);
    register_child("norm_lr", &*norm_lr_);
  }
}

OffsetGenerator::Features OffsetGenerator::features(const at::Tensor& x, const std::optional<GroupNorm>& norm) const {
  const int64_t channels = x.size(1), similarities = options_.local_window * options_.local_window - 1;
  const auto type = x.options().dtype(accumulator_type(x.scalar_type()));
  const at::Tensor both = empty_rows({x.size(0), channels + similarities, x.size(2), x.size(3)}, type);
  const at::Tensor normed = both.narrow(1, 0, channels), similarity = both.narrow(1, channels, similarities);
  if (norm) {
    group_norm_out(normed, x, norm->groups(), norm->weight, norm->bias, norm->eps());
  } else {
    normed.copy_(x);
  }
  local_similarity_out(similarity, normed, options_.local_window, kDilation, Similarity::cosine);
  if (options_.direction_feat == DirectionFeat::sim) return {both, similarity, normed};
  return {both, both, both};
}

at::Tensor OffsetGenerator::guide(const Features& features, const Conv2d& offset, const std::optional<Conv2d>& scale,
                                  std::optional<JoinedConv>& joined) const {
  if (!scale) return row_conv(features.direction, offset.weight, offset.bias);
  // Each of the two takes a part of the channels: on a CPU the other part's zeros are not worth multiplying, on a GPU
  // another launch and the copies of a concatenation cost more.
  if (options_.direction_feat == DirectionFeat::sim && !features.both.is_cuda()) {
    return at::cat({row_conv(features.direction, offset.weight, offset.bias),
                    row_conv(features.magnitude, scale->weight, scale->bias)},
                   1);
  }
  if (!joined) joined.emplace(join(offset, *scale));
  return row_conv(features.both, joined->weight, joined->bias);
}

JoinedConv OffsetGenerator::join(const Conv2d& offset, const Conv2d& scale) const {
  at::Tensor directions = offset.weight, scales = scale.weight;
  if (options_.direction_feat == DirectionFeat::sim) {
    // Channels of `both`: the features, then the similarities.
    directions = at::constant_pad_nd(directions, {0, 0, 0, 0, scales.size(1), 0});
    scales = at::constant_pad_nd(scales, {0, 0, 0, 0, 0, offset.weight.size(1)});
  }
  const auto type = accumulator_type(directions.scalar_type());
  return {at::cat({directions, scales}).to(type), at::cat({offset.bias, scale.bias}).to(type)};
}

at::Tensor OffsetGenerator::offset(const at::Tensor& hr_x, const at::Tensor& lr_x, Trace* stages) const {
  const Features hr = features(hr_x, norm_hr_);
  const Features lr = features(lr_x, norm_lr_);
  trace(stages, "hrSim", hr.direction);
  trace(stages, "lrSim", lr.direction);
  const at::Tensor offset =
      sampling_offset(guide(hr, hr_offset_, hr_direct_scale_, joined_hr_),
                      guide(lr, offset_, direct_scale_, joined_lr_), init_pos_, direct_scale_.has_value());
  trace(stages, "offset", offset);
  return offset;
}

OffsetGenerator::Result OffsetGenerator::forward(const at::Tensor& hr_x, const at::Tensor& lr_x,
                                                 const at::Tensor& feat2sample, Trace* stages) const {
  check_maps(hr_x, lr_x, feat2sample);
  return sample(hr_x, lr_x, feat2sample, stages);
}

OffsetGenerator::Result OffsetGenerator::sample(const at::Tensor& hr_x, const at::Tensor& lr_x,
                                                const at::Tensor& feat2sample, Trace* stages) const {
  at::Tensor where = offset(hr_x, lr_x, stages).to(feat2sample.scalar_type());
  at::Tensor output = offset_sampler(feat2sample, where, options_.groups);
  return {std::move(where), std::move(output)};
}

void OffsetGenerator::check_maps(const at::Tensor& hr_x, const at::Tensor& lr_x, const at::Tensor& feat2sample) const {
  check_feature_map(hr_x, "hrX", options_.in_channels, offset_.weight);
  check_feature_map(lr_x, "lrX", options_.in_channels, offset_.weight);
  const bool doubled =
      hr_x.size(0) == lr_x.size(0) && hr_x.size(2) == 2 * lr_x.size(2) && hr_x.size(3) == 2 * lr_x.size(3);
  if (!doubled) {
    throw Error::argument("ERR_SHAPE", "hrX", "exactly twice the height and width of lrX " + shape_text(lr_x),
                          shape_text(hr_x));
  }
  const at::Tensor& map = feat2sample;
  check_feature_map(map, "feat2sample", map.dim() == 4 ? map.size(1) : 0, offset_.weight);
  const bool fits = map.size(0) == hr_x.size(0) && map.size(1) % options_.groups == 0 && map.size(1) > 0 &&
                    map.size(2) == hr_x.size(2) && map.size(3) == hr_x.size(3);
  if (!fits) {
    throw Error::argument("ERR_SHAPE", "feat2sample",
                          "the batch, height and width of hrX " + shape_text(hr_x) + " and a multiple of " +
                              text(options_.groups) + " channels",
                          shape_text(map));
  }
}

void OffsetGenerator::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  fill_conv_normal(offset_, 0.001, generator);
  fill_conv_normal(hr_offset_, 0.001, generator);
  for (std::optional<Conv2d>* scale : {&direct_scale_, &hr_direct_scale_}) {
    if (!*scale) continue;
    fill_constant((*scale)->weight, 0);
    fill_constant((*scale)->bias, 0);
  }
  reset_norms();
  changed();
}

void OffsetGenerator::fill_xavier(at::Generator& generator) {
  fill_conv_xavier(offset_, generator);
  if (direct_scale_) fill_conv_xavier(*direct_scale_, generator);
  fill_conv_xavier(hr_offset_, generator);
  if (hr_direct_scale_) fill_conv_xavier(*hr_direct_scale_, generator);
  reset_norms();
  changed();
}

void OffsetGenerator::reset_norms() {
  for (std::optional<GroupNorm>* norm : {&norm_hr_, &norm_lr_}) {
    if (!*norm) continue;
    fill_constant((*norm)->weight, 1);
    fill_constant((*norm)->bias, 0);
  }
}

NamedTensors OffsetGenerator::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method != "forward") return Module::run(method, inputs, options);
  options.reject_unknown({"stages"});
  NamedTensors stages, outputs;
  Result result = forward(inputs.require("hrX"), inputs.require("lrX"), inputs.require("feat2sample"),
                          options.boolean("stages", false) ? &stages : nullptr);
  outputs.add("offset", std::move(result.offset));
  outputs.add("output", std::move(result.output));
  for (const auto& [name, tensor] : stages.entries()) outputs.add(name, tensor);
  return outputs;
}

std::unique_ptr<Module> make_offset_generator(const Options& options) {
  options.reject_unknown({"inChannels", "scale", "style", "groups", "useDirectScale", "kernelSize", "localWindow",
                          "simType", "norm", "directionFeat"});
  if (options.integer("scale", 2) != 2) {
    throw Error::argument("ERR_OPTION_VALUE", "scale", "2, the only one of the reference",
                          text(options.integer("scale", 2)));
  }
  options.choice("style", "lp", {"lp"});
  options.choice("simType", "cos", {"cos", "dot"});
  return std::make_unique<OffsetGenerator>(OffsetGeneratorOptions{
      .in_channels = options.integer("inChannels"),
      .groups = options.integer("groups", 4),
      .kernel_size = options.integer("kernelSize", 1),
      .local_window = options.integer("localWindow", 3),
      .direct_scale = options.boolean("useDirectScale", true),
      .norm = options.boolean("norm", true),
      .direction_feat = parse_direction_feat(options),
  });
}

}  // namespace freqfusion
