#include "native/modules/heads/mask_head.h"

#include <ATen/ops/bmm.h>
#include <ATen/ops/linear.h>

#include <cmath>

#include "native/modules/detection/inputs.h"
#include "native/modules/error.h"

namespace freqfusion {

MaskHeadOptions MaskHeadOptions::parse(const Options& options) {
  options.reject_unknown({"inChannels", "convOutChannels", "numConvs", "numClasses", "classAgnostic", "upsampleCfg"});
  MaskHeadOptions parsed;
  parsed.in_channels = positive_option(options, "inChannels", parsed.in_channels);
  parsed.conv_out_channels = positive_option(options, "convOutChannels", parsed.conv_out_channels);
  parsed.num_convs = options.integer("numConvs", parsed.num_convs);
  if (parsed.num_convs < 0 || parsed.num_convs > 64) {
    throw Error::argument("ERR_OPTION_VALUE", "numConvs", "an integer from 0 to 64", std::to_string(parsed.num_convs));
  }
  parsed.num_classes = positive_option(options, "numClasses", parsed.num_classes);
  parsed.class_agnostic = options.boolean("classAgnostic", false);
  parsed.upsample_cfg = options.child("upsampleCfg");
  return parsed;
}

MaskHead::Deconv::Deconv(int64_t in, int64_t out) {
  register_parameter("weight", &weight, {in, out, 2, 2});
  register_parameter("bias", &bias, {out});
}

MaskHead::MaskHead(const MaskHeadOptions& options)
    : options_(options), conv_logits_(options.conv_out_channels, options.class_agnostic ? 1 : options.num_classes) {
  for (int64_t i = 0; i < options.num_convs; ++i) {
    convs_.push_back(std::make_unique<FusedConv2d>(
        i == 0 ? options.in_channels : options.conv_out_channels, options.conv_out_channels,
        Conv2dOptions{.kernel = square(3), .padding = square(1)}, Activation::relu));
    register_child("convs." + std::to_string(i) + ".conv", convs_.back().get());
  }
  const int64_t channels = options.num_convs > 0 ? options.conv_out_channels : options.in_channels;
  const std::string type = options.upsample_cfg.string("type", "deconv");
  if (type == "deconv") {
    options.upsample_cfg.reject_unknown({"type", "scaleFactor"});
    deconv_ = std::make_unique<Deconv>(channels, options.conv_out_channels);
    register_child("upsample", deconv_.get());
  } else {
    upsampler_ = make_upsampler(options.upsample_cfg, channels);
    register_child("upsample", upsampler_.get());
  }
  register_child("conv_logits", &conv_logits_);
}

void MaskHead::changed() {
  quadruple_.reset();
  classifier_.reset();
}

const MaskHead::Classifier& MaskHead::classifier() const {
  if (!classifier_) {
    const at::ScalarType dtype = compute_type(conv_logits_.weight);
    classifier_.emplace(Classifier{conv_logits_.weight.to(dtype).flatten(1), conv_logits_.bias.to(dtype)});
  }
  return *classifier_;
}

MaskHead::Features MaskHead::features(const at::Tensor& regions) const {
  at::Tensor x = regions;
  for (const auto& conv : convs_) x = conv->forward(x);
  if (!deconv_) x = upsampler_->forward(x);
  const int64_t height = x.size(2), width = x.size(3);
  if (!deconv_) return {x.permute({0, 2, 3, 1}).reshape({x.size(0), height * width, x.size(1)}), height, width, 1};
  const int64_t out = deconv_->weight.size(1);
  if (!quadruple_) {
    // Kernel 2 and stride 2: every pixel becomes 2 x 2 of its own, so it is a 1x1 convolution to 4 * out channels.
    const at::Tensor weight = deconv_->weight.to(at::kDouble).permute({2, 3, 1, 0}).reshape({4 * out, -1, 1, 1});
    quadruple_.emplace(ConvWeights{weight, deconv_->bias.to(at::kDouble).repeat({4})}, Conv2dOptions{},
                       compute_type(deconv_->weight), Activation::relu);
  }
  x = quadruple_->forward(x);
  return {x.permute({0, 2, 3, 1}).reshape({x.size(0), height * width * 4, out}), height, width, 2};
}

at::Tensor MaskHead::as_maps(const at::Tensor& values, const Features& from) {
  const int64_t regions = values.size(0), factor = from.factor;
  return values.view({regions, from.height, from.width, factor, factor, values.size(2)})
      .permute({0, 5, 1, 3, 2, 4})
      .reshape({regions, values.size(2), from.height * factor, from.width * factor});
}

at::Tensor MaskHead::forward(const at::Tensor& regions, const at::Tensor& labels) const {
  const Features from = features(regions);
  const Classifier& all = classifier();
  const at::Tensor classes = options_.class_agnostic ? labels.mul(0) : labels;
  const at::Tensor weight = all.weight.index_select(0, classes), bias = all.bias.index_select(0, classes);
  const at::Tensor values = at::bmm(from.pixels, weight.unsqueeze(2)).add_(bias.view({-1, 1, 1}));
  return as_maps(values, from).squeeze(1);
}

at::Tensor MaskHead::forward_all(const at::Tensor& regions) const {
  const Features from = features(regions);
  const Classifier& all = classifier();
  return as_maps(at::linear(from.pixels, all.weight, all.bias), from);
}

void MaskHead::initialize(at::Generator& generator) {
  const auto kaiming = [](double fan_out) { return std::sqrt(2.0 / fan_out); };
  for (const auto& conv : convs_) {
    fill_conv_normal(*conv, kaiming(9.0 * static_cast<double>(conv->out_channels())), generator);
    conv->changed();
  }
  if (deconv_) {
    fill_normal(deconv_->weight, 0, kaiming(4.0 * static_cast<double>(deconv_->weight.size(1))), generator);
    fill_constant(deconv_->bias, 0);
  } else {
    upsampler_->initialize(generator);
  }
  fill_conv_normal(conv_logits_, kaiming(static_cast<double>(conv_logits_.out_channels())), generator);
  changed();
}

}  // namespace freqfusion
