#include "native/modules/fusion/freqfusion.h"

#include <ATen/ops/_upsample_nearest_exact2d.h>
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/replication_pad2d.h>
#include <ATen/ops/upsample_bicubic2d.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/upsample_nearest2d.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "native/modules/error.h"
#include "native/ops/accumulator.h"
#include "native/ops/high_pass.h"
#include "native/ops/kernel_normalizer.h"
#include "native/ops/kernel_predictor.h"
#include "native/ops/row_conv.h"
#include "native/ops/row_layout.h"

namespace freqfusion {

namespace {

// Of both content encoders.
Conv2dOptions encoder_options(const FreqFusionOptions& options) {
  return {.kernel = square(options.encoder_kernel),
          .padding = square((options.encoder_kernel - 1) * options.encoder_dilation / 2),
          .dilation = square(options.encoder_dilation)};
}

at::Tensor window_of(bool hamming, int64_t kernel) {
  return hamming ? hamming_window(kernel) : at::ones({1}, at::TensorOptions().dtype(at::kFloat));
}

Pair size_of(const at::Tensor& map) { return {map.size(2), map.size(3)}; }

at::Tensor nearest(const at::Tensor& map, const Pair& size) { return at::upsample_nearest2d(map, size); }

at::Tensor resize(const at::Tensor& map, const Pair& size, UpsampleMode mode, bool align_corners) {
  switch (mode) {
    case UpsampleMode::nearest:
      return nearest(map, size);
    case UpsampleMode::nearest_exact:
      return at::_upsample_nearest_exact2d(map, size);
    case UpsampleMode::bilinear:
      return at::upsample_bilinear2d(map, size, align_corners);
    case UpsampleMode::bicubic:
      return at::upsample_bicubic2d(map, size, align_corners);
    case UpsampleMode::area:
      break;
  }
  return at::adaptive_avg_pool2d(map, size);
}

at::Tensor crop(const at::Tensor& map, const Pair& size) {
  if (size_of(map) == size) return map;
  return map.narrow(2, 0, size[0]).narrow(3, 0, size[1]).contiguous(map.suggest_memory_format());
}

at::Tensor pad_edge(const at::Tensor& map, const Pair& size) {
  if (size_of(map) == size) return map;
  return at::replication_pad2d(map, std::array<int64_t, 4>{0, size[1] - map.size(3), 0, size[0] - map.size(2)});
}

at::Tensor as(const at::Tensor& mask, at::ScalarType dtype, at::MemoryFormat format) {
  return mask.to(dtype).contiguous(format);
}

void trace_normalized(Trace* stages, int call, const at::Tensor& logits, const at::Tensor& mask) {
  if (stages == nullptr) return;
  stages->add("kernelNormalizerIn" + std::to_string(call), logits);
  stages->add("kernelNormalizerOut" + std::to_string(call), mask);
}

void check_window(at::Tensor& buffer, const at::Tensor& window, const char* name) {
  // Room for the rounding of a bfloat16 checkpoint; a different window is off by far more.
  constexpr double kTolerance = 4e-3;
  const at::Tensor values = buffer.to(at::kCPU, at::kFloat);
  if (values.allclose(window, 0, kTolerance)) return;
  buffer.copy_(window);  // what the kernels compute with, so that the module stays consistent
  throw Error::argument("ERR_STATE_VALUE", name,
                        window.numel() == 1 ? "the constant 1 (hammingWindow false)" : "the Hamming window",
                        "other values");
}

void check_reflectable(const at::Tensor& map, int64_t kernel, const char* name) {
  const int64_t least = kernel / 2 + 1;
  if (map.size(2) >= least && map.size(3) >= least) return;
  const std::string side = std::to_string(least);
  throw Error::argument(
      "ERR_SHAPE", name,
      "at least " + side + " x " + side + " pixels (border 'reflect' with kernel " + std::to_string(kernel) + ")",
      shape_text(map));
}

void require_option(bool on, const char* option, const char* part) {
  if (on) return;
  throw Error::argument("ERR_NOT_SUPPORTED", option, std::string("true, without which there is no ") + part, "false");
}

}  // namespace

FreqFusion::FreqFusion(const FreqFusionOptions& options)
    : options_(check_freqfusion_options(options)),
      hr_compressor_(options.hr_channels, options.compressed_channels),
      lr_compressor_(options.lr_channels, options.compressed_channels),
      encoder_(options.compressed_channels, options.lowpass_kernel * options.lowpass_kernel * options.up_group,
               encoder_options(options)) {
  register_buffer("hamming_lowpass", &hamming_lowpass_, window_of(options.hamming_window, options.lowpass_kernel));
  register_buffer("hamming_highpass", &hamming_highpass_, window_of(options.hamming_window, options.highpass_kernel));
  register_child("hr_channel_compressor", &hr_compressor_);
  register_child("lr_channel_compressor", &lr_compressor_);
  register_child("content_encoder", &encoder_);
  if (options.feature_resample) {
    sampler_.emplace(OffsetGeneratorOptions{.in_channels = options.compressed_channels,
                                            .groups = options.feature_resample_group,
                                            .kernel_size = options.encoder_kernel,
                                            .norm = options.feature_resample_norm,
                                            .direction_feat = options.direction_feat});
    register_child("dysampler", &*sampler_);
  }
  if (options.use_high_pass) {
    encoder2_.emplace(options.compressed_channels, options.highpass_kernel * options.highpass_kernel * options.up_group,
                      encoder_options(options));
    register_child("content_encoder2", &*encoder2_);
  }
}

FreqFusion::Fused FreqFusion::forward(const at::Tensor& hr, const at::Tensor& lr, Trace* stages) const {
  const Inputs in = fit(hr, lr);
  Guidance guidance = guide(in, options_.use_high_pass ? Masks::low_and_high : Masks::low, stages);
  at::Tensor lr_out = low_pass(in, guidance.mask_lr);
  if (sampler_) lr_out = sampler_->sample(guidance.hr, guidance.lr, lr_out, stages).output;
  guidance.hr.reset();
  guidance.lr.reset();
  // Without the high-pass branch the reference hands hr back as it came.
  const at::Tensor hr_out =
      options_.use_high_pass
          ? high_pass(in.hr, guidance.mask_hr, filter(options_.highpass_kernel, 1), options_.hr_residual)
          : hr;
  return {crop(guidance.mask_lr, in.size), crop(hr_out, in.size), crop(lr_out, in.size)};
}

FreqFusion::Inputs FreqFusion::fit(const at::Tensor& hr, const at::Tensor& lr) const {
  check_feature_map(hr, "hrFeat", options_.hr_channels, encoder_.weight);
  check_feature_map(lr, "lrFeat", options_.lr_channels, encoder_.weight);
  if (hr.size(0) != lr.size(0)) {
    throw Error::argument("ERR_SHAPE", "lrFeat", "the batch of hrFeat " + shape_text(hr), shape_text(lr));
  }
  Inputs in{hr, lr, size_of(hr)};
  const bool doubled = hr.size(2) == 2 * lr.size(2) && hr.size(3) == 2 * lr.size(3);
  if (needs_doubled_size(options_) && !doubled) {
    if (options_.size_policy == SizePolicy::strict) {
      throw Error::argument("ERR_SHAPE", "hrFeat",
                            "exactly twice the height and width of lrFeat " + shape_text(lr) +
                                " (or sizePolicy 'pad', which pads both and crops the result)",
                            shape_text(hr));
    }
    const Pair lr_size = {std::max(lr.size(2), (hr.size(2) + 1) / 2), std::max(lr.size(3), (hr.size(3) + 1) / 2)};
    in.hr = pad_edge(hr, {2 * lr_size[0], 2 * lr_size[1]});
    in.lr = pad_edge(lr, lr_size);
  }
  if (options_.border == Border::reflect) {
    const at::Tensor& reassembled = options_.semi_conv ? in.lr : in.hr;
    check_reflectable(reassembled, options_.lowpass_kernel, options_.semi_conv ? "lrFeat" : "hrFeat");
    if (options_.use_high_pass) check_reflectable(in.hr, options_.highpass_kernel, "hrFeat");
  }
  return in;
}

FreqFusion::Guidance FreqFusion::guide(const Inputs& in, Masks wanted, Trace* stages) const {
  Guidance guidance{row_conv(in.hr, hr_compressor_.weight, hr_compressor_.bias),
                    row_conv(in.lr, lr_compressor_.weight, lr_compressor_.bias),
                    {},
                    {}};
  trace(stages, "compressedHr", guidance.hr);
  trace(stages, "compressedLr", guidance.lr);
  const Kind kind{in.hr.scalar_type(), in.hr.suggest_memory_format()};
  if (!options_.semi_conv) {
    guide_by_resized(guidance, kind, wanted, stages);
  } else if (options_.comp_feat_upsample) {
    guide_by_filters(guidance, kind, wanted, stages);
  } else {
    guide_by_sum(guidance, kind, wanted, stages);
  }
  return guidance;
}

// The default flow: the filters themselves bring the kernels' logits of both resolutions together.
void FreqFusion::guide_by_filters(Guidance& guidance, const Kind& kind, Masks wanted, Trace* stages) const {
  KernelLogits logits;
  logits.high_hr = encode(*encoder2_, guidance.hr, "contentEncoder2Call0", stages);
  const at::Tensor sharpener = normalize(logits.high_hr, options_.highpass_kernel, 0, stages);
  const at::Tensor enhanced = empty_rows(guidance.hr.sizes(), guidance.hr.options());
  high_pass_out(enhanced, guidance.hr, sharpener, filter(options_.highpass_kernel, 1), true);
  guidance.hr = enhanced;
  trace(stages, "compressedHrEnhanced", guidance.hr);

  logits.low_hr = encode(encoder_, guidance.hr, "contentEncoderCall0", stages);
  // One kernel takes all the logits; the stages below stand in the order of the reference's calls all the same.
  if (wanted == Masks::low_and_high) {
    std::tie(logits.low_lr, logits.high_lr) = encode_both(guidance.lr);
  } else {
    logits.low_lr = encode(encoder_, guidance.lr, "contentEncoderCall1", nullptr);
    logits.high_hr.reset();
  }
  PredictedKernels kernels = kernel_predictor(logits,
                                              {.lowpass_kernel = options_.lowpass_kernel,
                                               .highpass_kernel = options_.highpass_kernel,
                                               .groups = options_.up_group,
                                               .hamming = options_.hamming_window,
                                               .border = options_.border},
                                              kind.dtype, kind.format, stages != nullptr);
  guidance.mask_lr = std::move(kernels.mask_lr);
  guidance.mask_hr = std::move(kernels.mask_hr);
  if (stages == nullptr) return;
  trace_normalized(stages, 1, logits.low_hr, kernels.first_mask);
  trace(stages, "contentEncoderCall1", logits.low_lr);
  trace_normalized(stages, 2, kernels.low, guidance.mask_lr);
  if (wanted == Masks::low) return;
  // The reference's call 3 normalises the same logits again.
  trace_normalized(stages, 3, kernels.low, guidance.mask_lr);
  trace(stages, "contentEncoder2Call1", logits.high_lr);
  trace_normalized(stages, 4, kernels.high, guidance.mask_hr);
}

// semi_conv without comp_feat_upsample: logits of both resolutions, lr's grown by nearest, summed.
void FreqFusion::guide_by_sum(Guidance& guidance, const Kind& kind, Masks wanted, Trace* stages) const {
  const Pair size = size_of(guidance.hr);
  const at::Tensor low_hr = encode(encoder_, guidance.hr, "contentEncoderCall0", stages);
  const at::Tensor low_lr = encode(encoder_, guidance.lr, "contentEncoderCall1", stages);
  guidance.mask_lr =
      as(normalize(nearest(low_lr, size).add_(low_hr), options_.lowpass_kernel, 0, stages), kind.dtype, kind.format);
  if (wanted == Masks::low) return;

  const at::Tensor high_hr = encode(*encoder2_, guidance.hr, "contentEncoder2Call0", stages);
  const at::Tensor high_lr = encode(*encoder2_, guidance.lr, "contentEncoder2Call1", stages);
  guidance.mask_hr =
      as(normalize(nearest(high_lr, size).add_(high_hr), options_.highpass_kernel, 1, stages), kind.dtype, kind.format);
}

// Without semi_conv: the compressed features are summed first, at hr's size, whatever lr's size is.
void FreqFusion::guide_by_resized(Guidance& guidance, const Kind& kind, Masks wanted, Trace* stages) const {
  const at::Tensor sum = nearest(guidance.lr, size_of(guidance.hr)).add_(guidance.hr);
  trace(stages, "compressedSum", sum);
  const at::Tensor low = encode(encoder_, sum, "contentEncoderCall0", stages);
  guidance.mask_lr = as(normalize(low, options_.lowpass_kernel, 0, stages), kind.dtype, kind.format);
  if (wanted == Masks::low) return;

  const at::Tensor high = encode(*encoder2_, sum, "contentEncoder2Call0", stages);
  guidance.mask_hr = as(normalize(high, options_.highpass_kernel, 1, stages), kind.dtype, kind.format);
}

// Stages carry the names and numbers of the reference's calls.
at::Tensor FreqFusion::encode(const Conv2d& encoder, const at::Tensor& x, const char* stage, Trace* stages) const {
  at::Tensor logits = row_conv(x, encoder.weight, encoder.bias, options_.encoder_dilation);
  trace(stages, stage, logits);
  return logits;
}

std::pair<at::Tensor, at::Tensor> FreqFusion::encode_both(const at::Tensor& x) const {
  const int64_t dilation = options_.encoder_dilation;
  if (!x.is_cuda()) {
    return {row_conv(x, encoder_.weight, encoder_.bias, dilation),
            row_conv(x, encoder2_->weight, encoder2_->bias, dilation)};
  }
  if (!joined_encoders_) {
    const auto type = accumulator_type(encoder_.weight.scalar_type());
    joined_encoders_.emplace(JoinedConv{at::cat({encoder_.weight, encoder2_->weight}).to(type),
                                        at::cat({encoder_.bias, encoder2_->bias}).to(type)});
  }
  const at::Tensor both = row_conv(x, joined_encoders_->weight, joined_encoders_->bias, dilation);
  const int64_t low = encoder_.out_channels();
  return {both.narrow(1, 0, low), both.narrow(1, low, encoder2_->out_channels())};
}

at::Tensor FreqFusion::normalize(const at::Tensor& logits, int64_t kernel, int call, Trace* stages) const {
  at::Tensor mask = kernel_normalizer(logits, kernel, options_.hamming_window, options_.up_group);
  trace_normalized(stages, call, logits, mask);
  return mask;
}

CarafeOptions FreqFusion::filter(int64_t kernel, int64_t scale) const {
  return {kernel, options_.up_group, scale, options_.border};
}

at::Tensor FreqFusion::low_pass(const Inputs& in, const at::Tensor& mask) const {
  if (options_.semi_conv) return carafe(in.lr, mask, filter(options_.lowpass_kernel, 2));
  const at::Tensor grown = resize(in.lr, size_of(in.hr), options_.upsample_mode, options_.align_corners);
  return carafe(grown, mask, filter(options_.lowpass_kernel, 1));
}

void FreqFusion::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  initialize(generator);
}

void FreqFusion::initialize(at::Generator& generator) {
  fill_conv_xavier(hr_compressor_, generator);
  fill_conv_xavier(lr_compressor_, generator);
  fill_conv_normal(encoder_, 0.001, generator);
  // The reference's xavier pass reaches the sampler after the sampler has initialised itself: offsets start large.
  if (sampler_) sampler_->fill_xavier(generator);
  if (encoder2_) fill_conv_normal(*encoder2_, 0.001, generator);
  changed();
}

// The kernels compute their window: a checkpoint with another one would silently give wrong results.
void FreqFusion::loaded() {
  check_window(hamming_lowpass_, window_of(options_.hamming_window, options_.lowpass_kernel), "hamming_lowpass");
  check_window(hamming_highpass_, window_of(options_.hamming_window, options_.highpass_kernel), "hamming_highpass");
}

NamedTensors FreqFusion::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  options.reject_unknown({"stages"});
  NamedTensors stages;
  Trace* log = options.boolean("stages", false) ? &stages : nullptr;
  NamedTensors outputs;
  if (method == "forward") {
    Fused fused = forward(inputs.require("hrFeat"), inputs.require("lrFeat"), log);
    outputs.add("maskLr", std::move(fused.mask));
    outputs.add("hrFeat", std::move(fused.hr));
    outputs.add("lrFeat", std::move(fused.lr));
  } else if (method == "lowPassFilter") {
    const Inputs in = fit(inputs.require("hrFeat"), inputs.require("lrFeat"));
    const Guidance guidance = guide(in, Masks::low, log);
    outputs.add("maskLr", crop(guidance.mask_lr, in.size));
    outputs.add("lrFeat", crop(low_pass(in, guidance.mask_lr), in.size));
  } else if (method == "highPassFilter") {
    require_option(options_.use_high_pass, "useHighPass", "the high-pass filter");
    const Inputs in = fit(inputs.require("hrFeat"), inputs.require("lrFeat"));
    const Guidance guidance = guide(in, Masks::low_and_high, log);
    outputs.add("maskHr", crop(guidance.mask_hr, in.size));
    outputs.add(
        "hrFeat",
        crop(high_pass(in.hr, guidance.mask_hr, filter(options_.highpass_kernel, 1), options_.hr_residual), in.size));
  } else if (method == "offsetGenerator") {
    require_option(options_.feature_resample, "featureResample", "the offset generator");
    outputs = run_offset_generator(inputs, log);
  } else {
    throw Error::argument("ERR_METHOD_UNKNOWN", "method",
                          "one of forward, lowPassFilter, highPassFilter, offsetGenerator", '"' + method + '"');
  }
  for (const auto& [name, tensor] : stages.entries()) outputs.add(name, tensor);
  return outputs;
}

NamedTensors FreqFusion::run_offset_generator(const NamedTensors& inputs, Trace* stages) const {
  OffsetGenerator::Result result;
  Pair size{};
  if (const at::Tensor* hr_x = inputs.find("hrX")) {
    result = sampler_->forward(*hr_x, inputs.require("lrX"), inputs.require("feat2sample"), stages);
    size = size_of(result.output);
  } else {
    const Inputs in = fit(inputs.require("hrFeat"), inputs.require("lrFeat"));
    const Guidance guidance = guide(in, Masks::low, stages);
    result = sampler_->sample(guidance.hr, guidance.lr, low_pass(in, guidance.mask_lr), stages);
    size = in.size;
  }
  NamedTensors outputs;
  outputs.add("offset", std::move(result.offset));
  outputs.add("lrFeat", crop(result.output, size));
  return outputs;
}

std::unique_ptr<Module> make_freqfusion(const Options& options) {
  options.reject_unknown(freqfusion_option_names());
  return std::make_unique<FreqFusion>(
      parse_freqfusion_options(options, options.integer("hrChannels"), options.integer("lrChannels")));
}

}  // namespace freqfusion
