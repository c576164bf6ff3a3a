#include "native/ops/cpu/pointwise_conv_kernels.h"

#include "native/ops/cpu/gelu.h"
#include "native/ops/cpu/panel_product.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

template <typename A>
FREQFUSION_INLINE Vec<A> activate(Vec<A> value, Activation activation) {
  if (activation == Activation::gelu) return gelu(value);
  // The second operand is what a NaN gives.
  if (activation == Activation::relu) return max(zero<A>(), value);
  return value;
}

// Takes tiles of sums to the output: `pixel` is the first pixel of the product.
template <typename A>
struct Finish {
  const PointwiseConvArgs& args;
  int64_t pixel;

  void operator()(const A* tile, int64_t pitch, int64_t m, int rows, int64_t n, int64_t columns) const {
    constexpr int lanes = Vec<A>::size;
    for (int64_t j = 0; j < columns && n + j < args.out; j += lanes) {
      const int64_t channel = n + j;
      const int count = args.out - channel < lanes ? static_cast<int>(args.out - channel) : lanes;
      const Vec<A> bias = vector(args.bias, channel, A(0));
      const Vec<A> scale = vector(args.residual_scale, channel, A(1));
      for (int i = 0; i < rows; ++i) {
        const int64_t at = pixel + m + i;
        Vec<A> value = activate(load_aligned(tile + i * pitch + j) + bias, args.activation);
        if (args.factor != nullptr) {
          value = value * part(static_cast<const A*>(args.factor) + at * args.factor_pixel + channel, count);
        }
        if (args.residual != nullptr) {
          value =
              fma(part(static_cast<const A*>(args.residual) + at * args.residual_pixel + channel, count), scale, value);
        }
        A* to = static_cast<A*>(args.output) + at * args.output_pixel + channel;
        if (count == lanes) {
          store(to, value);
        } else {
          store_partial(to, value, count);
        }
      }
    }
  }

 private:
  static FREQFUSION_INLINE Vec<A> vector(const void* values, int64_t channel, A otherwise) {
    return values == nullptr ? broadcast<A>(otherwise) : load(static_cast<const A*>(values) + channel);
  }
  static FREQFUSION_INLINE Vec<A> part(const A* from, int count) {
    return count == Vec<A>::size ? load(from) : load_partial(from, count);
  }
};

// Pixels whose inputs stay in the second-level cache (128 KB) while all panels pass; 48 is a whole number of tiles.
int64_t block_of(int64_t in, int64_t bytes) {
  const int64_t pixels = 131072 / (in * bytes) / 48 * 48;
  return pixels < 48 ? 48 : pixels;
}

template <typename A>
void forward(const PointwiseConvArgs& args, int64_t begin, int64_t end) {
  const int64_t block = block_of(args.in, sizeof(A));
  const Panels<A> weight{static_cast<const A*>(args.weight), args.in * kPanel, kPanel};
  for (int64_t pixel = begin; pixel < end; pixel += block) {
    const int64_t count = end - pixel < block ? end - pixel : block;
    const Rows<A> rows{static_cast<const A*>(args.x) + pixel * args.x_pixel, args.x_pixel, 16, 1};
    multiply<A>(rows, count, weight, (args.out + kPanel - 1) / kPanel, args.in, Finish<A>{args, pixel});
  }
}

}  // namespace

void pointwise_conv_forward(const PointwiseConvArgs& args, int64_t begin, int64_t end) {
  if (args.storage == Storage::f64) return forward<double>(args, begin, end);
  forward<float>(args, begin, end);
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
