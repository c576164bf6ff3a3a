#include "native/modules/necks/fpn_freqfusion.h"

#include <utility>

#include "native/modules/error.h"

namespace freqfusion {
namespace {

constexpr int64_t kResampleGroup = 8;  // the class's default, which the published configurations mostly set to 4
constexpr int64_t kCompressRatio = 8;

int64_t extra_levels(const NeckOptions& options) {
  const auto levels = static_cast<int64_t>(options.in_channels.size());
  if (options.num_outs > levels + 1) {
    throw Error::argument("ERR_OPTION_VALUE", "numOuts",
                          std::to_string(levels) + " or " + std::to_string(levels + 1) +
                              " (FreqFusionCARAFEFPN has one module for each of inChannels)",
                          std::to_string(options.num_outs));
  }
  return options.num_outs - levels;
}

}  // namespace

FpnFreqFusion::FpnFreqFusion(const NeckOptions& options, const FreqFusionOptions& fusion)
    : Neck(options, extra_levels(options)) {
  for (size_t i = 0; i < options.in_channels.size(); ++i) {
    alignment_.push_back(std::make_unique<FreqFusion>(fusion));
    register_child("alignment." + std::to_string(i), alignment_.back().get());
  }
}

std::unique_ptr<Neck> FpnFreqFusion::make(const NeckOptions& neck, const Options& options) {
  std::vector<std::string> known = {"type", "inChannels", "outChannels", "numOuts", "compressRatio"};
  for (const std::string& name : freqfusion_option_names()) {
    if (name != "hrChannels" && name != "lrChannels" && name != "compressedChannels") known.push_back(name);
  }
  options.reject_unknown(known);
  FreqFusionOptions fusion = parse_freqfusion_options(options, neck.out_channels, neck.out_channels);
  fusion.feature_resample = options.boolean("featureResample", true);
  fusion.feature_resample_group = options.integer("featureResampleGroup", kResampleGroup);
  const int64_t ratio = options.integer("compressRatio", kCompressRatio);
  if (ratio < 1 || ratio > 2 * neck.out_channels) {
    throw Error::argument("ERR_OPTION_VALUE", "compressRatio",
                          "an integer from 1 to " + std::to_string(2 * neck.out_channels), std::to_string(ratio));
  }
  fusion.compressed_channels = 2 * neck.out_channels / ratio;
  return std::make_unique<FpnFreqFusion>(neck, fusion);
}

at::Tensor FpnFreqFusion::join(size_t index, at::Tensor finer, const at::Tensor& coarser) const {
  const auto name = [](size_t level) { return 'p' + std::to_string(level + 2); };
  try {
    // FreqFusion takes maps of its own dtype, and computes in float32 inside of it.
    const at::ScalarType dtype = first_parameter().scalar_type();
    const at::ScalarType between = std::exchange(finer, finer.to(dtype)).scalar_type();
    FreqFusion::Fused fused = alignment_[index]->forward(finer, coarser.to(dtype));
    finer.reset();
    return add_cropped(fused.hr.to(between), fused.lr);
  } catch (const Error& error) {
    throw Error(error.code(),
                std::string(error.what()) + " (hrFeat is the lateral of " + name(index) + ", lrFeat that of " +
                    name(index + 1) + "; images of multiples of 64 pixels halve exactly)",
                error.expected(), error.actual());
  }
}

void FpnFreqFusion::initialize(at::Generator& generator) {
  Neck::initialize(generator);
  for (const auto& fusion : alignment_) fusion->initialize(generator);
}

}  // namespace freqfusion
