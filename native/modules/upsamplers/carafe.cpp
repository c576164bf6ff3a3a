#include "native/modules/upsamplers/carafe.h"

#include <ATen/ops/pixel_shuffle.h>

#include "native/modules/error.h"
#include "native/ops/carafe.h"
#include "native/ops/kernel_normalizer.h"

namespace freqfusion {
namespace {

constexpr int64_t kScale = 2;

Conv2dOptions encoder_options(const CarafePackOptions& options) {
  return {.kernel = square(options.encoder_kernel),
          .padding = square((options.encoder_kernel - 1) * options.encoder_dilation / 2),
          .dilation = square(options.encoder_dilation)};
}

void check_odd(int64_t value, const char* name) {
  if (value >= 1 && value <= 31 && value % 2 == 1) return;
  throw Error::argument("ERR_OPTION_VALUE", name, "an odd integer from 1 to 31", std::to_string(value));
}

void check_positive(int64_t value, const char* name) {
  if (value >= 1) return;
  throw Error::argument("ERR_OPTION_VALUE", name, "an integer from 1", std::to_string(value));
}

}  // namespace

CarafePackOptions CarafePackOptions::parse(const Options& options, int64_t channels) {
  CarafePackOptions parsed;
  parsed.channels = channels;
  parsed.up_kernel = options.integer("upKernel", parsed.up_kernel);
  parsed.up_group = options.integer("upGroup", parsed.up_group);
  parsed.encoder_kernel = options.integer("encoderKernel", parsed.encoder_kernel);
  parsed.encoder_dilation = options.integer("encoderDilation", parsed.encoder_dilation);
  parsed.compressed_channels = options.integer("compressedChannels", parsed.compressed_channels);
  check_odd(parsed.up_kernel, "upKernel");
  check_odd(parsed.encoder_kernel, "encoderKernel");
  check_positive(parsed.encoder_dilation, "encoderDilation");
  check_positive(parsed.compressed_channels, "compressedChannels");
  if (parsed.up_group < 1 || channels % parsed.up_group != 0) {
    throw Error::argument("ERR_OPTION_VALUE", "upGroup", "a divisor of " + std::to_string(channels) + " channels",
                          std::to_string(parsed.up_group));
  }
  return parsed;
}

CarafePack::CarafePack(const CarafePackOptions& options)
    : options_(options),
      compressor_(options.channels, options.compressed_channels),
      encoder_(options.compressed_channels, options.up_kernel * options.up_kernel * options.up_group * kScale * kScale,
               encoder_options(options)) {
  register_child("channel_compressor", &compressor_);
  register_child("content_encoder", &encoder_);
}

at::Tensor CarafePack::forward(const at::Tensor& x) const {
  const at::Tensor logits = at::pixel_shuffle(encoder_.forward(compressor_.forward(x)), kScale);
  const at::Tensor masks = kernel_normalizer(logits, options_.up_kernel, false, options_.up_group);
  return carafe(x, masks, {options_.up_kernel, options_.up_group, kScale, Border::zeros});
}

void CarafePack::initialize(at::Generator& generator) {
  fill_conv_xavier(compressor_, generator);
  fill_conv_normal(encoder_, 0.001, generator);
  compressor_.changed();
  encoder_.changed();
}

}  // namespace freqfusion
