#pragma once

#include <memory>

#include "native/modules/module.h"

namespace freqfusion {

// Doubles a map's sides, channels kept: what a decoder puts between two levels. One file each in this folder.
class Upsampler : public Module {
 public:
  // x [N, C, h, w] in compute_type -> [N, C, 2h, 2w] (deconvolutions of other kernels: near it), channels-last memory.
  virtual at::Tensor forward(const at::Tensor& x) const = 0;
  virtual void initialize(at::Generator&) {}
  using Module::initialize;
};

// By option `type`, mmdetection's names: 'nearest', 'bilinear', 'deconv' and 'pixel_shuffle' (upsampleKernel), 'carafe'
// (upKernel 5, upGroup 1, encoderKernel 3, encoderDilation 1, compressedChannels 64). Null for type null: no resizing.
// ERR_OPTION_* for a wrong value.
std::unique_ptr<Upsampler> make_upsampler(const Options& options, int64_t channels);

}  // namespace freqfusion
