#pragma once

#include <string>
#include <vector>

#include "native/modules/fusion/offset_generator.h"
#include "native/modules/options.h"
#include "native/ops/border.h"

namespace freqfusion {

// How `lr` grows to hr's size where semi_conv is off; F.interpolate's modes.
enum class UpsampleMode { nearest, nearest_exact, bilinear, bicubic, area };

// What happens where hr is not exactly twice lr and the flow needs it: an error, or padding by the replicated edge.
enum class SizePolicy { strict, pad };

struct FreqFusionOptions {
  int64_t hr_channels = 0;
  int64_t lr_channels = 0;
  int64_t lowpass_kernel = 5;
  int64_t highpass_kernel = 3;
  int64_t up_group = 1;
  int64_t encoder_kernel = 3;
  int64_t encoder_dilation = 1;
  int64_t compressed_channels = 64;
  bool align_corners = false;
  UpsampleMode upsample_mode = UpsampleMode::nearest;
  bool feature_resample = false;
  int64_t feature_resample_group = 4;
  bool comp_feat_upsample = true;
  bool use_high_pass = true;
  bool hr_residual = true;
  bool semi_conv = true;
  bool hamming_window = true;
  bool feature_resample_norm = true;
  DirectionFeat direction_feat = DirectionFeat::sim_concat;
  Border border = Border::zeros;
  SizePolicy size_policy = SizePolicy::strict;
};

// Names of the options at the boundary: the reference's own in camelCase, directionFeat, border and sizePolicy.
const std::vector<std::string>& freqfusion_option_names();
// Reads every option but the two channel counts; unknown names are the caller's to reject.
FreqFusionOptions parse_freqfusion_options(const Options& options, int64_t hr_channels, int64_t lr_channels);
// ERR_OPTION_VALUE or ERR_NOT_SUPPORTED for options that no forward can run with; returns them.
const FreqFusionOptions& check_freqfusion_options(const FreqFusionOptions& options);
// Whether the flow takes only an hr of exactly twice lr's height and width.
inline bool needs_doubled_size(const FreqFusionOptions& options) {
  return options.semi_conv || options.feature_resample;
}

}  // namespace freqfusion
