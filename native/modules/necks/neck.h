#pragma once

#include <memory>
#include <vector>

#include "native/modules/fused_conv.h"

namespace freqfusion {

struct NeckOptions {
  std::vector<int64_t> in_channels;  // of C2 .. C5, finest first
  int64_t out_channels = 256;
  int64_t num_outs = 5;
};

// mmcv's ConvModule without norm and activation: a convolution under the name `conv`.
class NeckConv final : public Module {
 public:
  NeckConv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1)
      : conv(in, out, {.kernel = square(kernel), .stride = square(stride), .padding = square(kernel / 2)}) {
    register_child("conv", &conv);
  }

  FusedConv2d conv;
};

// A feature pyramid over a backbone's maps: a convolution brings every level to `out_channels`, each level takes in
// the coarser one, from the coarsest on, and a 3x3 convolution gives the result. State `lateral_convs.*.conv.*` and
// `fpn_convs.*.conv.*`, then what the kind of neck adds.
class Neck : public Module {
 public:
  // levels [N, in_channels[i], H_i, W_i] in compute_type -> num_outs maps [N, out_channels, ...], finest first, in
  // channels-last memory. A level that is moved in is freed as soon as it has been read.
  // ERR_SHAPE, ERR_DTYPE, ERR_DEVICE for levels that do not fit.
  std::vector<at::Tensor> forward(std::vector<at::Tensor> levels) const;

  // Xavier uniform convolutions, biases 0; each kind adds its own.
  void initialize(uint64_t seed) override;
  virtual void initialize(at::Generator& generator);

  const NeckOptions& options() const { return options_; }
  const at::Tensor& first_parameter() const { return laterals_.front()->conv.weight; }

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;

 protected:
  // `extra_laterals` further levels come from the last map, each by a 3x3 convolution of stride 2: the first from the
  // map itself, the others from the level before.
  Neck(const NeckOptions& options, int64_t extra_laterals);

  // The finer level with the coarser one taken in, in place of it where that saves memory; `index` is the finer one's.
  virtual at::Tensor join(size_t index, at::Tensor finer, const at::Tensor& coarser) const = 0;
  // Adds the levels that num_outs asks for beyond the convolved ones.
  virtual void extend(std::vector<at::Tensor>& outputs) const;

 private:
  void check(const std::vector<at::Tensor>& levels) const;

  const NeckOptions options_;
  std::vector<std::unique_ptr<NeckConv>> laterals_, outputs_;
};

// Adds `coarser` to `finer` in place, cropped to its size from the upper left corner. ERR_SHAPE where it is smaller.
at::Tensor add_cropped(const at::Tensor& finer, const at::Tensor& coarser);

// By option `type`: 'FPN' (default), 'FPN_CARAFE' or 'FreqFusionCARAFEFPN', as mmdetection names them. Options of all:
// inChannels (required), outChannels 256, numOuts 5. FPN_CARAFE: upsampleCfg {type 'carafe', ...} (see
// upsamplers/upsampler.h). FreqFusionCARAFEFPN: compressRatio 8 and FreqFusion's own but for the channel counts, with
// featureResample true and featureResampleGroup 8 by default. ERR_OPTION_* for a wrong value.
std::unique_ptr<Neck> make_neck(const Options& options);

// Kind "fpn": make_neck. Method forward {c2 .. c5} -> {p2 .. p6}.
std::unique_ptr<Module> make_fpn(const Options& options);

}  // namespace freqfusion
