#include "native/modules/upsamplers/deconv.h"

#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/relu.h>

#include "native/modules/folding.h"
#include "native/modules/layers.h"

namespace freqfusion {

Deconv::Deconv(int64_t in, int64_t out, const DeconvOptions& options) : options_(options) {
  register_parameter("weight", &weight, {in, out, options.kernel, options.kernel});
  register_parameter("bias", &bias, {out});
}

at::Tensor Deconv::forward(const at::Tensor& x) const {
  constexpr auto last = at::MemoryFormat::ChannelsLast;
  if (!wide_) {
    const at::ScalarType dtype = compute_type(weight);
    wide_.emplace(Wide{weight.to(dtype).contiguous(last), bias.to(dtype)});
  }
  const Pair stride = square(options_.stride), padding = square(options_.padding),
             output_padding = square(options_.output_padding);
  at::Tensor y = at::conv_transpose2d(x.contiguous(last), wide_->weight, wide_->bias, stride, padding, output_padding);
  return options_.activation == Activation::relu ? at::relu_(y) : y;
}

void Deconv::initialize(at::Generator& generator) {
  fill_xavier_uniform(weight, generator);
  fill_constant(bias, 0);
  changed();
}

}  // namespace freqfusion
