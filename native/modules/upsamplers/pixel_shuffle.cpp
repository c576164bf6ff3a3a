#include "native/modules/upsamplers/pixel_shuffle.h"

#include <ATen/ops/pixel_shuffle.h>

namespace freqfusion {

PixelShuffle::PixelShuffle(int64_t channels, int64_t kernel)
    : conv_(channels, 4 * channels, {.kernel = square(kernel), .padding = square((kernel - 1) / 2)}) {
  register_child("upsample_conv", &conv_);
}

at::Tensor PixelShuffle::forward(const at::Tensor& x) const { return at::pixel_shuffle(conv_.forward(x), 2); }

void PixelShuffle::initialize(at::Generator& generator) {
  fill_conv_xavier(conv_, generator);
  conv_.changed();
}

}  // namespace freqfusion
