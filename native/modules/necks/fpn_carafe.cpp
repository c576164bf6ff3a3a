#include "native/modules/necks/fpn_carafe.h"

namespace freqfusion {
namespace {

int64_t extra_levels(const NeckOptions& options) {
  return options.num_outs - static_cast<int64_t>(options.in_channels.size());
}

}  // namespace

FpnCarafe::FpnCarafe(const NeckOptions& options, const Options& upsample_cfg) : Neck(options, extra_levels(options)) {
  for (int64_t i = 0; i + 1 < options.num_outs; ++i) {
    upsamplers_.push_back(make_upsampler(upsample_cfg, options.out_channels));
    if (upsamplers_.back()) register_child("upsample_modules." + std::to_string(i), upsamplers_.back().get());
  }
}

std::unique_ptr<Neck> FpnCarafe::make(const NeckOptions& neck, const Options& options) {
  options.reject_unknown({"type", "inChannels", "outChannels", "numOuts", "upsampleCfg"});
  Options upsample_cfg = options.child("upsampleCfg");
  if (!options.has("upsampleCfg")) {
    upsample_cfg = Options(Options::Map{});
    upsample_cfg.set("type", Options(std::string("carafe")));
  }
  return std::make_unique<FpnCarafe>(neck, upsample_cfg);
}

at::Tensor FpnCarafe::join(size_t index, at::Tensor finer, const at::Tensor& coarser) const {
  const auto& upsampler = upsamplers_[index];
  return add_cropped(finer, upsampler ? upsampler->forward(coarser) : coarser);
}

void FpnCarafe::initialize(at::Generator& generator) {
  Neck::initialize(generator);
  for (const auto& upsampler : upsamplers_) {
    if (upsampler) upsampler->initialize(generator);
  }
}

}  // namespace freqfusion
