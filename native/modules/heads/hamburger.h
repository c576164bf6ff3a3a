#pragma once

#include <memory>

#include "native/modules/heads/conv_module.h"

namespace freqfusion {

struct HamburgerOptions {
  int64_t ham_channels = 512;
  int64_t norm_groups = 32;
  // NMF2D's, by its names: spatial groups, rank and steps. MD_D, TRAIN_STEPS and INV_T have no effect at inference.
  int64_t md_s = 1;
  int64_t md_r = 64;
  int64_t eval_steps = 7;
  bool rand_init = true;
  int64_t nmf_seed = 0;

  // Reads the members of ham_kwargs: mdS, mdD, mdR, trainSteps, evalSteps, invT, spatial, randInit, nmfSeed.
  void parse_ham_kwargs(const Options& options);
};

// Non-negative matrix factorisation with fixed steps (Hamburger, ICLR 2021): an image's features X [D, N] become
// bases F [D, R] and coefficients A [N, R], updated in turn, and F A^T replaces them.
//
// The reference draws the bases with torch.rand at EVERY forward, so its results are not repeatable. Here they come
// from the caller, from the buffer `bases` [S, D, R] that exists where randInit is false, or from the seed: value i
// of the bases in C order is u(i) = (splitmix64(seed, i) >> 40) / 2^24, then divided by the L2 norm over D. The same
// bases serve every image of a batch, so that an image's result does not depend on its neighbours.
// splitmix64(seed, i): z = seed + (i + 1) * 0x9E3779B97F4A7C15; z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
// z = (z ^ (z >> 27)) * 0x94D049BB133111EB; z ^ (z >> 31), in 64 bits.
class Nmf2d final : public Module {
 public:
  explicit Nmf2d(const HamburgerOptions& options);

  // x [B, C, h, w], not negative -> its reconstruction, of the same shape. bases [1 or B * S, D, R] or [B, ...] is
  // normalised over D (eps 1e-12); undefined takes the module's own. Computed in float32 for 16-bit types.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& bases) const;

 protected:
  void changed() override { placed_bases_.reset(); }

 private:
  at::Tensor initial_bases(int64_t images, const at::Tensor& given, const at::TensorOptions& type) const;

  const HamburgerOptions options_;
  at::Tensor bases_;                 // the buffer, where there is one
  at::Tensor seeded_bases_;          // float32 [S, D, R] on the CPU
  mutable at::Tensor placed_bases_;  // the module's own, where and in the type that the last forward pass took them
};

// The global-context module of LightHamHead: 1x1 convolution, ReLU, NMF, 1x1 convolution with group norm, and a
// residual with ReLU around it all.
class Hamburger final : public Module {
 public:
  explicit Hamburger(const HamburgerOptions& options);

  // x [B, ham_channels, h, w], in the type that the network computes in (compute_type) -> the same shape. Stages: hamIn
  // (before its ReLU), nmf.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& nmf_bases, Trace* stages = nullptr) const;

  void initialize(uint64_t seed) override;
  void initialize(at::Generator& generator);

  NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options) override;

 private:
  at::ScalarType dtype() const { return ham_in_.first_parameter().scalar_type(); }

  const HamburgerOptions options_;
  ConvModule ham_in_;
  Nmf2d ham_;
  ConvModule ham_out_;
};

// Kind "hamburger". Options: hamChannels 512, normGroups 32, hamKwargs {mdS 1, mdR 64, evalSteps 7, randInit true,
// nmfSeed 0, and mdD, trainSteps, invT without effect; spatial true alone}.
// Method forward {x, nmfBases?}, option `stages` -> {output}; stages hamIn, nmf.
std::unique_ptr<Module> make_hamburger(const Options& options);

}  // namespace freqfusion
