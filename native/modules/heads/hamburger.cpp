#include "native/modules/heads/hamburger.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/relu.h>

#include "native/modules/error.h"
#include "native/ops/accumulator.h"
#include "native/ops/nmf.h"

namespace freqfusion {
namespace {

constexpr double kNormEps = 1e-12;  // of the bases' normalisation

at::Tensor normalised(const at::Tensor& bases) {
  return bases.div(bases.norm(2, at::IntArrayRef{1}, true).clamp_min(kNormEps));
}

uint64_t splitmix64(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

at::Tensor bases_from_seed(const HamburgerOptions& options) {
  at::Tensor bases = at::empty({options.md_s, options.ham_channels / options.md_s, options.md_r},
                               at::TensorOptions().dtype(at::kFloat));
  auto* values = bases.mutable_data_ptr<float>();
  for (int64_t i = 0; i < bases.numel(); ++i) {
    const uint64_t bits = splitmix64(static_cast<uint64_t>(options.nmf_seed), static_cast<uint64_t>(i)) >> 40;
    values[i] = static_cast<float>(bits) * 0x1p-24F;
  }
  return normalised(bases);
}

void refuse(const char* name, const std::string& expected, int64_t actual) {
  throw Error::argument("ERR_OPTION_VALUE", name, expected, std::to_string(actual));
}

const HamburgerOptions& checked(const HamburgerOptions& options) {
  if (options.ham_channels < 1) refuse("hamChannels", "an integer from 1", options.ham_channels);
  if (options.norm_groups < 1) refuse("normGroups", "an integer from 1", options.norm_groups);
  if (options.md_s < 1 || options.ham_channels % options.md_s != 0) {
    refuse("mdS", "a divisor of hamChannels (" + std::to_string(options.ham_channels) + ")", options.md_s);
  }
  if (options.md_r < 1) refuse("mdR", "an integer from 1", options.md_r);
  if (options.eval_steps < 0) refuse("evalSteps", "an integer from 0", options.eval_steps);
  return options;
}

}  // namespace

void HamburgerOptions::parse_ham_kwargs(const Options& options) {
  options.reject_unknown({"mdS", "mdD", "mdR", "trainSteps", "evalSteps", "invT", "spatial", "randInit", "nmfSeed"});
  md_s = options.integer("mdS", md_s);
  md_r = options.integer("mdR", md_r);
  eval_steps = options.integer("evalSteps", eval_steps);
  rand_init = options.boolean("randInit", rand_init);
  nmf_seed = options.integer("nmfSeed", nmf_seed);
  options.integer("mdD", 512);
  options.integer("trainSteps", 6);
  options.number("invT", 1);
  if (!options.boolean("spatial", true)) throw Error::argument("ERR_NOT_SUPPORTED", "spatial", "true", "false");
}

Nmf2d::Nmf2d(const HamburgerOptions& options) : options_(options), seeded_bases_(bases_from_seed(options)) {
  if (!options_.rand_init) register_buffer("bases", &bases_, seeded_bases_.clone());
}

at::Tensor Nmf2d::initial_bases(int64_t images, const at::Tensor& given, const at::TensorOptions& type) const {
  const int64_t rows = images * options_.md_s, groups = options_.md_s;
  if (!given.defined()) {
    // Moved and converted once: a copy from the CPU in every forward pass would make a GPU wait.
    if (!placed_bases_.defined() || placed_bases_.device() != type.device() || placed_bases_.dtype() != type.dtype()) {
      placed_bases_ = (bases_.defined() ? bases_ : seeded_bases_).to(type);
    }
    return images == 1 ? placed_bases_ : placed_bases_.repeat({images, 1, 1});
  }
  const int64_t dim = options_.ham_channels / groups, rank = options_.md_r;
  if (given.dim() != 3 || given.size(1) != dim || given.size(2) != rank ||
      (given.size(0) != groups && given.size(0) != rows)) {
    const std::string lead =
        groups == rows ? std::to_string(rows) : std::to_string(groups) + " or " + std::to_string(rows);
    throw Error::argument("ERR_SHAPE", "nmfBases",
                          '[' + lead + ", " + std::to_string(dim) + ", " + std::to_string(rank) + ']',
                          shape_text(given));
  }
  if (!given.is_floating_point()) {
    throw Error::argument("ERR_DTYPE", "nmfBases", "a floating dtype", dtype_text(given.scalar_type()));
  }
  const at::Tensor bases = normalised(given.to(type));
  return given.size(0) == rows ? bases : bases.repeat({images, 1, 1});
}

at::Tensor Nmf2d::forward(const at::Tensor& x, const at::Tensor& bases) const {
  const int64_t images = x.size(0), height = x.size(2), width = x.size(3);
  const int64_t groups = options_.md_s, dim = x.size(1) / groups, pixels = height * width;
  const auto type = x.options().dtype(accumulator_type(x.scalar_type()));
  // X^T, pixel by pixel: no copy for one group in channels-last memory.
  const at::Tensor xt = x.to(type)
                            .permute({0, 2, 3, 1})
                            .reshape({images, pixels, groups, dim})
                            .transpose(1, 2)
                            .reshape({images * groups, pixels, dim});
  return nmf(xt, initial_bases(images, bases, type), options_.eval_steps)
      .reshape({images, groups, pixels, dim})
      .transpose(1, 2)
      .reshape({images, height, width, groups * dim})
      .permute({0, 3, 1, 2})
      .to(x.scalar_type());
}

Hamburger::Hamburger(const HamburgerOptions& options)
    : options_(checked(options)),
      ham_in_(options.ham_channels, options.ham_channels, 0, Activation::none),
      ham_(options),
      ham_out_(options.ham_channels, options.ham_channels, options.norm_groups, Activation::none) {
  register_child("ham_in", &ham_in_);
  register_child("ham", &ham_);
  register_child("ham_out", &ham_out_);
}

at::Tensor Hamburger::forward(const at::Tensor& x, const at::Tensor& nmf_bases, Trace* stages) const {
  if (stages != nullptr) stages->add("hamIn", ham_in_.forward(x).to(dtype()));
  const at::Tensor reconstruction = ham_.forward(ham_in_.forward(x, Activation::relu), nmf_bases);
  if (stages != nullptr) stages->add("nmf", reconstruction.to(dtype()));
  at::Tensor enjoyed = ham_out_.forward(reconstruction).add_(x);
  return at::relu_(enjoyed);
}

void Hamburger::initialize(uint64_t seed) {
  at::Generator generator = make_generator(seed);
  initialize(generator);
}

void Hamburger::initialize(at::Generator& generator) {
  ham_in_.initialize(generator);
  ham_out_.initialize(generator);
}

NamedTensors Hamburger::run(const std::string& method, const NamedTensors& inputs, const Options& options) {
  if (method != "forward") return Module::run(method, inputs, options);
  options.reject_unknown({"stages"});
  const at::Tensor& x = inputs.require("x");
  check_feature_map(x, "x", options_.ham_channels, ham_in_.first_parameter());
  const at::Tensor* bases = inputs.find("nmfBases");
  NamedTensors stages, outputs;
  const at::Tensor output =
      forward(x.to(compute_type(ham_in_.first_parameter())), bases != nullptr ? *bases : at::Tensor(),
              options.boolean("stages", false) ? &stages : nullptr);
  outputs.add("output", output.to(dtype()));
  for (const auto& [name, tensor] : stages.entries()) outputs.add(name, tensor);
  return outputs;
}

std::unique_ptr<Module> make_hamburger(const Options& options) {
  options.reject_unknown({"hamChannels", "normGroups", "hamKwargs"});
  HamburgerOptions parsed;
  parsed.ham_channels = options.integer("hamChannels", parsed.ham_channels);
  parsed.norm_groups = options.integer("normGroups", parsed.norm_groups);
  parsed.parse_ham_kwargs(options.child("hamKwargs"));
  return std::make_unique<Hamburger>(parsed);
}

}  // namespace freqfusion
