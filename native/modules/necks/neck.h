#pragma once

#include <memory>
#include <vector>

#include "native/modules/fused_conv.h"
#include "native/modules/layers.h"

namespace freqfusion {

struct NeckOptions {
  std::vector<int64_t> in_channels;  // of C2 .. C5, finest first
  int64_t out_channels = 256;
  int64_t num_outs = 5;
};

// A feature pyramid over a backbone's maps: a convolution brings every level to `out_channels`, each level takes in
// the coarser one, from the coarsest on, and a 3x3 convolution gives the result. State `lateral_convs.*.conv.*` and
// `fpn_convs.*.conv.*`, then what the kind of neck adds.
class Neck : public Module {
 public:
  ~Neck() override;

  // levels [N, in_channels[i], H_i, W_i] in compute_type -> num_outs maps [N, out_channels, ...], finest first, in
  // channels-last memory. Moving the levels in frees each as soon as it has been read.
  // ERR_SHAPE, ERR_DTYPE, ERR_DEVICE for levels that do not fit.
  std::vector<at::Tensor> forward(std::vector<at::Tensor> levels) const;

  // Xavier uniform convolutions, biases 0; each kind adds its own.
  void initialize(uint64_t seed) override;
  virtual void initialize(at::Generator& generator);

  const NeckOptions& options() const { return options_; }
  const at::Tensor& first_parameter() const { return laterals_.front()->weight; }

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;

 protected:
  // `extra_laterals` further levels come from the last map by 3x3 convolutions of stride 2.
  Neck(const NeckOptions& options, int64_t extra_laterals);

  // The finer level with the coarser one taken in; `index` is the finer one's. May work in place.
  virtual at::Tensor join(size_t index, const at::Tensor& finer, const at::Tensor& coarser) const = 0;
  // Levels beyond the convolved ones, where num_outs asks for them.
  virtual void extend(std::vector<at::Tensor>& outputs) const;

 private:
  void check(const std::vector<at::Tensor>& levels) const;

  const NeckOptions options_;
  std::vector<std::unique_ptr<FusedConv2d>> laterals_, outputs_;
};

// By option `type`: 'FPN' (default), 'FPN_CARAFE' or 'FreqFusionCARAFEFPN', as mmdetection names them. Options of all:
// inChannels (required), outChannels 256, numOuts 5. FPN_CARAFE: upsampleCfg {type 'carafe', ...} (see
// upsamplers/upsampler.h). FreqFusionCARAFEFPN: compressRatio 8 and FreqFusion's own, with featureResample true and
// featureResampleGroup 8 by default. ERR_OPTION_* for a wrong value.
std::unique_ptr<Neck> make_neck(const Options& options);

// Kind "fpn": make_neck. Method forward {c2 .. c5} -> {p2 .. p6}.
std::unique_ptr<Module> make_fpn(const Options& options);

}  // namespace freqfusion
