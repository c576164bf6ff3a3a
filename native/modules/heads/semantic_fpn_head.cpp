#include "native/modules/heads/semantic_fpn_head.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/upsample_bilinear2d.h>

#include "native/modules/detection/inputs.h"
#include "native/modules/error.h"
#include "native/modules/option_values.h"
#include "native/ops/accumulator.h"
#include "native/ops/group_norm.h"

namespace freqfusion {
namespace {

at::Tensor resized(const at::Tensor& x, ImageSize size) {
  if (x.size(2) == size.height && x.size(3) == size.width) return x;
  return at::upsample_bilinear2d(x, {size.height, size.width}, false, std::nullopt, std::nullopt);
}

}  // namespace

SemanticFpnHeadOptions SemanticFpnHeadOptions::parse(const Options& options) {
  options.reject_unknown({"numThingsClasses", "numStuffClasses", "inChannels", "innerChannels", "normGroups"});
  SemanticFpnHeadOptions parsed;
  parsed.num_things_classes = positive_option(options, "numThingsClasses", parsed.num_things_classes);
  parsed.num_stuff_classes = positive_option(options, "numStuffClasses", parsed.num_stuff_classes);
  parsed.in_channels = positive_option(options, "inChannels", parsed.in_channels);
  parsed.inner_channels = positive_option(options, "innerChannels", parsed.inner_channels);
  parsed.norm_groups = positive_option(options, "normGroups", parsed.norm_groups);
  if (parsed.inner_channels % parsed.norm_groups != 0) {
    throw Error::argument("ERR_OPTION_VALUE", "normGroups",
                          "a divisor of " + std::to_string(parsed.inner_channels) + " channels",
                          std::to_string(parsed.norm_groups));
  }
  return parsed;
}

SemanticFpnHead::Step::Step(int64_t in, int64_t out, int64_t groups)
    : conv(in, out, {.kernel = square(3), .padding = square(1), .bias = false}), gn(groups, out) {
  register_child("conv", &conv);
  register_child("gn", &gn);
}

at::Tensor SemanticFpnHead::Step::forward(const at::Tensor& x) const {
  const at::Tensor y = conv.forward(x);
  // Norms are computed in float32 at least.
  at::Tensor normed = at::empty_like(y, y.options().dtype(accumulator_type(y.scalar_type())));
  group_norm_out(normed, y, gn.groups(), gn.weight, gn.bias, gn.eps());
  return at::relu_(normed).to(y.scalar_type());
}

SemanticFpnHead::SemanticFpnHead(const SemanticFpnHeadOptions& options)
    : options_(options), conv_logits_(options.inner_channels, options.num_stuff_classes + 1) {
  for (int64_t level = 0; level < options.levels; ++level) {
    auto& steps = levels_.emplace_back();
    for (int64_t step = 0; step < std::max<int64_t>(level, 1); ++step) {
      steps.push_back(std::make_unique<Step>(step == 0 ? options.in_channels : options.inner_channels,
                                             options.inner_channels, options.norm_groups));
      register_child("conv_upsample_layers." + std::to_string(level) + ".conv." + std::to_string(step),
                     steps.back().get());
    }
  }
  register_child("conv_logits", &conv_logits_);
}

at::Tensor SemanticFpnHead::forward(const std::vector<at::Tensor>& levels) const {
  at::Tensor sum;
  for (size_t level = 0; level < levels_.size(); ++level) {
    at::Tensor x = levels[level];
    for (const auto& step : levels_[level]) {
      x = step->forward(x);
      if (level > 0) x = resized(x, {x.size(2) * 2, x.size(3) * 2});
    }
    if (level == 0) {
      sum = std::move(x);
      continue;
    }
    if (x.sizes() != sum.sizes()) {
      throw Error::argument("ERR_SHAPE", "level " + std::to_string(level),
                            "each level half as large as the one before (pad the image to a multiple of 32 or 64)",
                            shape_text(levels[level]) + " under " + shape_text(levels.front()));
    }
    sum.add_(x);
  }
  return conv_logits_.forward(sum);
}

void SemanticFpnHead::initialize(at::Generator& generator) {
  for (const auto& steps : levels_) {
    for (const auto& step : steps) {
      fill_conv_xavier(step->conv, generator);
      step->conv.changed();
      fill_constant(step->gn.weight, 1);
      fill_constant(step->gn.bias, 0);
    }
  }
  fill_conv_normal(conv_logits_, 0.01, generator);
  conv_logits_.changed();
}

void SemanticFpnHead::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  initialize(generator);
}

NamedTensors SemanticFpnHead::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method != "forward") return Module::run(method, inputs, options);
  options.reject_unknown({"network", "shown", "size"});
  const auto levels = pyramid_inputs(inputs, levels_.size(), options_.in_channels, conv_logits_.weight);
  NamedTensors outputs;
  outputs.add("logits", forward(levels));
  if (options.has("size")) {
    const at::Tensor& logits = outputs.require("logits");
    const ImageSize network = size_option(options, "network", ImageSize{logits.size(2) * 4, logits.size(3) * 4});
    const ImageSize shown = size_option(options, "shown", network);
    if (shown.height > network.height || shown.width > network.width) {
      throw Error::argument("ERR_OPTION_VALUE", "shown", "a size within the network input's",
                            std::to_string(shown.height) + " x " + std::to_string(shown.width));
    }
    outputs.add("resized", resize_logits(logits, network, shown, size_option(options, "size", shown)));
  }
  return outputs;
}

at::Tensor resize_logits(const at::Tensor& logits, ImageSize network, ImageSize shown, ImageSize size) {
  const at::Tensor whole = resized(logits, network);
  return resized(whole.narrow(2, 0, shown.height).narrow(3, 0, shown.width), size);
}

std::unique_ptr<Module> make_semantic_fpn_head(const Options& options) {
  return std::make_unique<SemanticFpnHead>(SemanticFpnHeadOptions::parse(options));
}

}  // namespace freqfusion
