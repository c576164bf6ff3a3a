#pragma once

#include <memory>
#include <vector>

#include "native/modules/layers.h"

namespace freqfusion {

// One number a stage in each list; the lists are of one length. The defaults are MSCAN-T's.
struct MscanOptions {
  int64_t in_channels = 3;
  std::vector<int64_t> embed_dims = {32, 64, 160, 256};
  std::vector<double> mlp_ratios = {8, 8, 4, 4};
  std::vector<int64_t> depths = {3, 3, 5, 2};

  // ERR_OPTION_* for a wrong value.
  static MscanOptions parse(const Options& options);
};

// MSCAN, the backbone of SegNeXt (NeurIPS 2022), at inference: drop path and dropout are the identity. Every stage
// halves the size, rounding up, after a stem that quarters it; its output is normalised, and the normalised map is
// both the stage's result and the next stage's input, as in mscan.py.
class Mscan final : public Module {
 public:
  explicit Mscan(const MscanOptions& options);
  ~Mscan() override;

  // image [N, in_channels, H, W] -> the stages' maps, finest first: [N, embed_dims[i], H / 2^(i + 2), ...], rounded
  // up, in channels-last memory and in the type that the network computes in (compute_type: float32 for 16-bit ones on
  // a CPU). ERR_SHAPE, ERR_DTYPE, ERR_DEVICE for an image that does not fit.
  std::vector<at::Tensor> forward(const at::Tensor& image) const;

  // Convolutions normal(0, sqrt(2 / fan_out)), biases 0, norms 1 and 0, layer scales 0.01.
  void initialize(uint64_t seed) override;
  void initialize(at::Generator& generator);

  const MscanOptions& options() const { return options_; }
  const at::Tensor& first_parameter() const;

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;

 private:
  class Stage;
  const MscanOptions options_;
  std::vector<std::unique_ptr<Stage>> stages_;
};

// Kind "mscan". Options: inChannels 3, embedDims, mlpRatios, depths (MSCAN-T's), dropRate and dropPathRate (without
// effect at inference). Method forward {image} -> {stage1 .. stageL}.
std::unique_ptr<Module> make_mscan(const Options& options);

}  // namespace freqfusion
