#include "native/modules/fusion/freqfusion_options.h"

#include "native/modules/error.h"

namespace freqfusion {

namespace {

std::string text(int64_t value) { return std::to_string(value); }

UpsampleMode parse_upsample_mode(const Options& options) {
  const std::vector<std::string> names = {"nearest", "nearest-exact", "bilinear", "bicubic", "area"};
  const std::string name = options.choice("upsampleMode", "nearest", names);
  size_t index = 0;
  while (names[index] != name) ++index;
  return static_cast<UpsampleMode>(index);  // the order of the enumeration
}

void check_at_least(int64_t value, int64_t least, const char* name) {
  if (value >= least) return;
  throw Error::argument("ERR_OPTION_VALUE", name, "an integer from " + text(least), text(value));
}

void check_odd(int64_t value, int64_t least, int64_t most, const char* name) {
  if (value >= least && value <= most && value % 2 == 1) return;
  throw Error::argument("ERR_OPTION_VALUE", name, "an odd integer from " + text(least) + " to " + text(most),
                        text(value));
}

void check_divided_by_up_group(const FreqFusionOptions& options, int64_t channels, const char* name) {
  if (channels % options.up_group == 0) return;
  throw Error::argument("ERR_OPTION_VALUE", name, "a multiple of upGroup (" + text(options.up_group) + ")",
                        text(channels));
}

}  // namespace

const std::vector<std::string>& freqfusion_option_names() {
  static const std::vector<std::string> names = {
      "hrChannels",           "lrChannels",       "scaleFactor",   "lowpassKernel",
      "highpassKernel",       "upGroup",          "encoderKernel", "encoderDilation",
      "compressedChannels",   "alignCorners",     "upsampleMode",  "featureResample",
      "featureResampleGroup", "compFeatUpsample", "useHighPass",   "useLowPass",
      "hrResidual",           "semiConv",         "hammingWindow", "featureResampleNorm",
      "directionFeat",        "border",           "sizePolicy"};
  return names;
}

FreqFusionOptions parse_freqfusion_options(const Options& options, int64_t hr_channels, int64_t lr_channels) {
  const int64_t scale_factor = options.integer("scaleFactor", 1);
  if (scale_factor != 1) {
    throw Error::argument("ERR_OPTION_VALUE", "scaleFactor", "1 (the reference runs with no other)",
                          text(scale_factor));
  }
  options.boolean("useLowPass", true);  // the reference stores it and never reads it
  const FreqFusionOptions defaults;
  return {
      .hr_channels = hr_channels,
      .lr_channels = lr_channels,
      .lowpass_kernel = options.integer("lowpassKernel", defaults.lowpass_kernel),
      .highpass_kernel = options.integer("highpassKernel", defaults.highpass_kernel),
      .up_group = options.integer("upGroup", defaults.up_group),
      .encoder_kernel = options.integer("encoderKernel", defaults.encoder_kernel),
      .encoder_dilation = options.integer("encoderDilation", defaults.encoder_dilation),
      .compressed_channels = options.integer("compressedChannels", defaults.compressed_channels),
      .align_corners = options.boolean("alignCorners", defaults.align_corners),
      .upsample_mode = parse_upsample_mode(options),
      .feature_resample = options.boolean("featureResample", defaults.feature_resample),
      .feature_resample_group = options.integer("featureResampleGroup", defaults.feature_resample_group),
      .comp_feat_upsample = options.boolean("compFeatUpsample", defaults.comp_feat_upsample),
      .use_high_pass = options.boolean("useHighPass", defaults.use_high_pass),
      .hr_residual = options.boolean("hrResidual", defaults.hr_residual),
      .semi_conv = options.boolean("semiConv", defaults.semi_conv),
      .hamming_window = options.boolean("hammingWindow", defaults.hamming_window),
      .feature_resample_norm = options.boolean("featureResampleNorm", defaults.feature_resample_norm),
      .direction_feat = parse_direction_feat(options),
      .border = parse_border(options.choice("border", "zeros", {"zeros", "reflect"})),
      .size_policy =
          options.choice("sizePolicy", "strict", {"strict", "pad"}) == "pad" ? SizePolicy::pad : SizePolicy::strict,
  };
}

const FreqFusionOptions& check_freqfusion_options(const FreqFusionOptions& options) {
  check_at_least(options.hr_channels, 1, "hrChannels");
  check_at_least(options.lr_channels, 1, "lrChannels");
  check_at_least(options.compressed_channels, 1, "compressedChannels");
  check_at_least(options.up_group, 1, "upGroup");
  check_at_least(options.encoder_dilation, 1, "encoderDilation");
  check_at_least(options.feature_resample_group, 1, "featureResampleGroup");
  check_odd(options.lowpass_kernel, 1, 31, "lowpassKernel");
  check_odd(options.highpass_kernel, 1, 31, "highpassKernel");
  check_odd(options.encoder_kernel, 1, 31, "encoderKernel");

  const bool by_filters = options.semi_conv && options.comp_feat_upsample;
  if (by_filters && !options.use_high_pass) {
    throw Error::argument("ERR_NOT_SUPPORTED", "useHighPass",
                          "true where semiConv and compFeatUpsample are true (the reference has no such flow; set "
                          "compFeatUpsample or semiConv to false to go without the high-pass filter)",
                          "false");
  }
  check_divided_by_up_group(options, options.lr_channels, "lrChannels");
  if (options.use_high_pass) check_divided_by_up_group(options, options.hr_channels, "hrChannels");
  if (by_filters) check_divided_by_up_group(options, options.compressed_channels, "compressedChannels");
  if (options.feature_resample && options.lr_channels % options.feature_resample_group != 0) {
    throw Error::argument("ERR_OPTION_VALUE", "lrChannels",
                          "a multiple of featureResampleGroup (" + text(options.feature_resample_group) + ")",
                          text(options.lr_channels));
  }
  return options;
}

}  // namespace freqfusion
