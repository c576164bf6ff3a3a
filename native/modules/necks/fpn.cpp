#include "native/modules/necks/fpn.h"

#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/upsample_nearest2d.h>

#include "native/modules/error.h"
#include "native/modules/necks/fpn_carafe.h"
#include "native/modules/necks/fpn_freqfusion.h"

namespace freqfusion {

at::Tensor Fpn::join(size_t, at::Tensor finer, const at::Tensor& coarser) const {
  return finer.add_(at::upsample_nearest2d(coarser, {finer.size(2), finer.size(3)}));
}

void Fpn::extend(std::vector<at::Tensor>& outputs) const {
  while (static_cast<int64_t>(outputs.size()) < options().num_outs) {
    outputs.push_back(at::max_pool2d(outputs.back(), {1, 1}, {2, 2}));
  }
}

std::unique_ptr<Neck> make_neck(const Options& options) {
  const std::string type = options.choice("type", "FPN", {"FPN", "FPN_CARAFE", "FreqFusionCARAFEFPN"});
  if (!options.has("inChannels")) {
    throw Error::argument("ERR_OPTION_TYPE", "inChannels", "a list of integers", "nothing");
  }
  NeckOptions neck;
  neck.in_channels = options.integers("inChannels", {});
  neck.out_channels = options.integer("outChannels", neck.out_channels);
  neck.num_outs = options.integer("numOuts", neck.num_outs);
  if (type == "FPN_CARAFE") return FpnCarafe::make(neck, options);
  if (type == "FreqFusionCARAFEFPN") return FpnFreqFusion::make(neck, options);
  options.reject_unknown({"type", "inChannels", "outChannels", "numOuts"});
  return std::make_unique<Fpn>(neck);
}

std::unique_ptr<Module> make_fpn(const Options& options) { return make_neck(options); }

}  // namespace freqfusion
