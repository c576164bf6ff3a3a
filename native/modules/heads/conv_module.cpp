#include "native/modules/heads/conv_module.h"

#include <ATen/ops/relu.h>

#include <cmath>

#include "native/modules/error.h"

namespace freqfusion {

ConvModule::ConvModule(int64_t in, int64_t out, int64_t norm_groups, Activation activation)
    : conv_(in, out, {.bias = norm_groups == 0}), activation_(activation) {
  register_child("conv", &conv_);
  if (norm_groups == 0) return;
  if (norm_groups < 0 || out % norm_groups != 0) {
    throw Error::argument("ERR_OPTION_VALUE", "normGroups", "a divisor of " + std::to_string(out) + " channels",
                          std::to_string(norm_groups));
  }
  norm_.emplace(norm_groups, out);
  register_child("gn", &*norm_);
}

at::Tensor ConvModule::forward(const at::Tensor& x, Activation activation) const {
  if (!packed_) {
    packed_.emplace(weights_of(conv_), compute_type(conv_.weight), conv_.bias.defined());
  }
  if (!norm_) return packed_->forward(x, {.activation = activation == Activation::relu ? "relu" : "none"});
  at::Tensor y = norm_->forward(packed_->forward(x));
  return activation == Activation::relu ? at::relu_(y) : y;
}

void ConvModule::initialize(at::Generator& generator) {
  fill_conv_normal(conv_, std::sqrt(2.0 / static_cast<double>(conv_.out_channels())), generator);
  changed();
  if (!norm_) return;
  fill_constant(norm_->weight, 1);
  fill_constant(norm_->bias, 0);
}

}  // namespace freqfusion
