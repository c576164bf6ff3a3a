#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "native/modules/fusion/freqfusion_options.h"
#include "native/modules/fusion/offset_generator.h"
#include "native/modules/layers.h"
#include "native/ops/carafe.h"

namespace freqfusion {

// FreqFusion (TPAMI 2024): fuses a high-resolution map with one of half its size. An adaptive low-pass filter
// (ALPF) upsamples lr with kernels predicted from both, an offset generator resamples it where asked for, and an
// adaptive high-pass filter (AHPF) sharpens hr. Parameters carry the names of FreqFusion.py's state dict.
class FreqFusion final : public Module {
 public:
  struct Fused {
    at::Tensor mask;  // [N, kl * kl * up_group, H, W], the normalised low-pass kernels
    at::Tensor hr;    // [N, Ch, H, W]
    at::Tensor lr;    // [N, Cl, H, W]
  };

  // ERR_OPTION_VALUE or ERR_NOT_SUPPORTED for options that cannot run.
  explicit FreqFusion(const FreqFusionOptions& options);

  // hr [N, Ch, H, W], lr [N, Cl, h, w]. ERR_SHAPE, ERR_DTYPE, ERR_DEVICE for inputs that do not fit.
  Fused forward(const at::Tensor& hr, const at::Tensor& lr, Trace* stages = nullptr) const;

  const FreqFusionOptions& options() const { return options_; }

  // Xavier uniform for every convolution, then normal(0, 0.001) for the content encoders; biases 0, norms 1 and 0.
  void initialize(uint64_t seed) override;
  void initialize(at::Generator& generator);

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;

 protected:
  void loaded() override;
  void changed() override { joined_encoders_.reset(); }

 private:
  // Both maps at sizes that the flow can take, and the size to crop its results to.
  struct Inputs {
    at::Tensor hr, lr;
    Pair size;
  };
  // What both filters and the offset generator are made from.
  struct Guidance {
    at::Tensor hr, lr;  // compressed features, float32 row by row; hr is the enhanced one where the flow enhances it
    at::Tensor mask_lr;
    at::Tensor mask_hr;  // undefined unless asked for
  };
  // Of the masks: as the maps that they are applied to.
  struct Kind {
    at::ScalarType dtype;
    at::MemoryFormat format;
  };
  enum class Masks { low, low_and_high };

  Inputs fit(const at::Tensor& hr, const at::Tensor& lr) const;
  Guidance guide(const Inputs& in, Masks wanted, Trace* stages) const;
  void guide_by_filters(Guidance& guidance, const Kind& kind, Masks wanted, Trace* stages) const;
  void guide_by_sum(Guidance& guidance, const Kind& kind, Masks wanted, Trace* stages) const;
  void guide_by_resized(Guidance& guidance, const Kind& kind, Masks wanted, Trace* stages) const;
  at::Tensor encode(const Conv2d& encoder, const at::Tensor& x, const char* stage, Trace* stages) const;
  // The logits of both encoders from one map.
  std::pair<at::Tensor, at::Tensor> encode_both(const at::Tensor& x) const;
  // `call` numbers it among the reference's calls, for the stages.
  at::Tensor normalize(const at::Tensor& logits, int64_t kernel, int call, Trace* stages) const;
  CarafeOptions filter(int64_t kernel, int64_t scale) const;
  at::Tensor low_pass(const Inputs& in, const at::Tensor& mask) const;
  NamedTensors run_offset_generator(const NamedTensors& inputs, Trace* stages) const;

  const FreqFusionOptions options_;
  at::Tensor hamming_lowpass_, hamming_highpass_;
  Conv2d hr_compressor_, lr_compressor_, encoder_;
  std::optional<OffsetGenerator> sampler_;
  std::optional<Conv2d> encoder2_;
  mutable std::optional<JoinedConv> joined_encoders_;
};

// Kind "freqfusion". Methods, each taking {hrFeat, lrFeat} and the option `stages`:
//   forward -> {maskLr, hrFeat, lrFeat}; lowPassFilter -> {maskLr, lrFeat}, before resampling;
//   highPassFilter -> {maskHr, hrFeat}; offsetGenerator -> {offset, lrFeat}, which also takes the generator's own
//   inputs {hrX, lrX, feat2sample}.
std::unique_ptr<Module> make_freqfusion(const Options& options);

}  // namespace freqfusion
