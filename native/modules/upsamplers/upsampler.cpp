#include "native/modules/upsamplers/upsampler.h"

#include "native/modules/error.h"
#include "native/modules/upsamplers/bilinear.h"
#include "native/modules/upsamplers/carafe.h"
#include "native/modules/upsamplers/deconv.h"
#include "native/modules/upsamplers/nearest.h"
#include "native/modules/upsamplers/pixel_shuffle.h"

namespace freqfusion {
namespace {

int64_t upsample_kernel(const Options& options, int64_t least, int64_t most) {
  const int64_t kernel = options.integer("upsampleKernel", 3);
  if (kernel < least || kernel > most) {
    throw Error::argument("ERR_OPTION_VALUE", "upsampleCfg.upsampleKernel",
                          "an integer from " + std::to_string(least) + " to " + std::to_string(most),
                          std::to_string(kernel));
  }
  return kernel;
}

}  // namespace

std::unique_ptr<Upsampler> make_upsampler(const Options& options, int64_t channels) {
  if (!options.has("type")) {
    options.reject_unknown({"type"});
    return nullptr;
  }
  const std::string type =
      options.choice("type", "carafe", {"nearest", "bilinear", "deconv", "pixel_shuffle", "carafe"});
  if (type == "carafe") {
    options.reject_unknown({"type", "upKernel", "upGroup", "encoderKernel", "encoderDilation", "compressedChannels"});
    return std::make_unique<CarafePack>(CarafePackOptions::parse(options, channels));
  }
  if (type == "deconv") {
    options.reject_unknown({"type", "upsampleKernel"});
    // A kernel of 1 gives less than twice the size, kernels from 5 on a padding that no stride of 2 allows.
    return std::make_unique<Deconv>(channels, channels, DeconvOptions::doubling(upsample_kernel(options, 2, 4)));
  }
  if (type == "pixel_shuffle") {
    options.reject_unknown({"type", "upsampleKernel"});
    const int64_t kernel = upsample_kernel(options, 1, 31);
    if (kernel % 2 == 0) {
      throw Error::argument("ERR_OPTION_VALUE", "upsampleCfg.upsampleKernel",
                            "an odd integer, which keeps the size of the map", std::to_string(kernel));
    }
    return std::make_unique<PixelShuffle>(channels, kernel);
  }
  options.reject_unknown({"type"});
  if (type == "bilinear") return std::make_unique<Bilinear>();
  return std::make_unique<Nearest>();
}

}  // namespace freqfusion
