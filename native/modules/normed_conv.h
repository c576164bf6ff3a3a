#pragma once

#include <ATen/core/Generator.h>

#include <cmath>

#include "native/modules/fused_conv.h"
#include "native/modules/layers.h"

namespace freqfusion {

// A convolution without bias and the batch norm behind it, as their owner registers them, and both as one for
// inference. The padding keeps the size of a map at stride 1.
struct NormedConv {
  NormedConv(int64_t in, int64_t out, int64_t kernel, int64_t stride)
      : conv(in, out,
             {.kernel = square(kernel), .stride = square(stride), .padding = square(kernel / 2), .bias = false}),
        norm(out) {}

  FusedConv fuse(Activation activation) const {
    return {before(weights_of(conv), affine_of(norm)), conv.options(), compute_type(conv.weight), activation};
  }

  // Kaiming normal for a ReLU, by the outputs; a fresh norm of the given weight.
  void initialize(at::Generator& generator, double norm_weight = 1) {
    const double fan_out = static_cast<double>(conv.out_channels() * conv.weight.size(2) * conv.weight.size(3));
    fill_conv_normal(conv, std::sqrt(2.0 / fan_out), generator);
    fill_constant(norm.weight, norm_weight);
    fill_constant(norm.bias, 0);
    fill_constant(norm.running_mean, 0);
    fill_constant(norm.running_var, 1);
    fill_constant(norm.num_batches_tracked, 0);
  }

  Conv2d conv;
  BatchNorm2d norm;
};

}  // namespace freqfusion
