#include "native/ops/cpu/winograd_conv_kernels.h"

#include "native/ops/cpu/panel_product.h"
#include "native/ops/cpu/winograd_conv_layout.h"

// F(4 x 4, 3 x 3): a tile of 4 x 4 outputs is read from 6 x 6 inputs, which are evaluated at the points 0, +-2/3,
// +-3/2 and infinity in both directions, multiplied there with the weights channel by channel, and interpolated. The
// points are those whose rounding errors are least among a few tried: with the usual 0, +-1, +-2 they are twice as
// large. As 2/3 is the inverse of 3/2, most factors of the transforms are one of the two.

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

using V = Vec<float>;

constexpr float kA = 2.0F / 3.0F, kB = 3.0F / 2.0F;
constexpr float kA2 = kA * kA, kB2 = kB * kB;
constexpr float kA3 = kA2 * kA, kB3 = kB2 * kB;
constexpr float kSum2 = 4.0F / 9.0F + 9.0F / 4.0F;

FREQFUSION_INLINE V times(float factor, V value) { return broadcast(factor) * value; }
FREQFUSION_INLINE V plus(V sum, float factor, V value) { return fma(broadcast(factor), value, sum); }

// Values of the polynomials that vanish at all points but one, from six inputs.
FREQFUSION_INLINE void evaluate(const V d[6], V out[6]) {
  out[0] = plus(d[0] + d[4], -kSum2, d[2]);
  const V even_a = plus(d[4], -kB2, d[2]), odd_a = plus(times(kA, d[3]), -kB, d[1]);
  out[1] = even_a + odd_a;
  out[2] = even_a - odd_a;
  const V even_b = plus(d[4], -kA2, d[2]), odd_b = plus(times(kB, d[3]), -kA, d[1]);
  out[3] = even_b + odd_b;
  out[4] = even_b - odd_b;
  out[5] = plus(d[1] + d[5], -kSum2, d[3]);
}

// Four outputs from six products.
FREQFUSION_INLINE void interpolate(const V m[6], V out[4]) {
  const V sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const V sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  out[0] = m[0] + sum_a + sum_b;
  out[1] = plus(times(kA, difference_a), kB, difference_b);
  out[2] = plus(times(kA2, sum_a), kB2, sum_b);
  out[3] = plus(plus(m[5], kA3, difference_a), kB3, difference_b);
}

// Where the tile stands: its image, and its first output row and column.
struct Tile {
  int64_t image, row, column;
};
FREQFUSION_INLINE Tile tile_at(const WinogradConvArgs& args, int64_t index) {
  const int64_t per_image = args.tile_rows * args.tile_columns;
  const int64_t inside = index % per_image;
  return {index / per_image, inside / args.tile_columns * 4, inside % args.tile_columns * 4};
}

void transform_input(const WinogradConvArgs& args, const Tile& tile, const float* zeros, float* to, int64_t step) {
  const float* from[36];
  const float* image = args.x + tile.image * args.x_image;
  for (int i = 0; i < 6; ++i) {
    const int64_t row = tile.row + i - 1;
    for (int j = 0; j < 6; ++j) {
      const int64_t column = tile.column + j - 1;
      const bool inside = row >= 0 && row < args.height && column >= 0 && column < args.width;
      from[i * 6 + j] = inside ? image + row * args.x_row + column * args.x_pixel : zeros;
    }
  }
  for (int64_t c = 0; c < args.in; c += V::size) {
    const int count = args.in - c < V::size ? static_cast<int>(args.in - c) : V::size;
    V half[36];
    for (int j = 0; j < 6; ++j) {
      V column[6], values[6];
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) {
        const float* p = from[i * 6 + j] + c;
        column[i] = count == V::size ? load(p) : load_partial(p, count);
      }
      evaluate(column, values);
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) half[i * 6 + j] = values[i];
    }
    for (int i = 0; i < 6; ++i) {
      V values[6];
      evaluate(half + i * 6, values);
#pragma GCC unroll 6
      for (int j = 0; j < 6; ++j) store_aligned(to + (i * 6 + j) * step + c, values[j]);
    }
  }
}

void transform_output(const WinogradConvArgs& args, const Tile& tile, const float* from, int64_t step) {
  const int rows = args.height - tile.row < 4 ? static_cast<int>(args.height - tile.row) : 4;
  const int columns = args.width - tile.column < 4 ? static_cast<int>(args.width - tile.column) : 4;
  float* output =
      args.output + tile.image * args.output_image + tile.row * args.output_row + tile.column * args.output_pixel;
  const float* residual = args.residual == nullptr
                              ? nullptr
                              : args.residual + tile.image * args.residual_image + tile.row * args.residual_row +
                                    tile.column * args.residual_pixel;
  for (int64_t c = 0; c < args.out; c += V::size) {
    const int count = args.out - c < V::size ? static_cast<int>(args.out - c) : V::size;
    V half[24];
    for (int j = 0; j < 6; ++j) {
      V products[6], values[4];
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) products[i] = load_aligned(from + (i * 6 + j) * step + c);
      interpolate(products, values);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) half[i * 6 + j] = values[i];
    }
    const V bias = args.bias == nullptr ? zero<float>() : load_partial(args.bias + c, count);
    for (int i = 0; i < rows; ++i) {
      V values[4];
      interpolate(half + i * 6, values);
      for (int j = 0; j < columns; ++j) {
        V value = values[j] + bias;
        if (residual != nullptr) {
          const float* p = residual + i * args.residual_row + j * args.residual_pixel + c;
          value = value + (count == V::size ? load(p) : load_partial(p, count));
        }
        // The second operand is what a NaN gives.
        if (args.relu) value = max(zero<float>(), value);
        float* to = output + i * args.output_row + j * args.output_pixel + c;
        if (count == V::size) {
          store(to, value);
        } else {
          store_partial(to, value, count);
        }
      }
    }
  }
}

// Sums of this many products are closed and added up: the errors of one long sum would be the greatest of all, twice
// those of the transforms. A multiple of 16.
constexpr int64_t kSpan = 64;

// The products of one point for a strip of panels.
template <int panels>
FREQFUSION_INLINE void multiply_strip(const Rows<float>& inputs, int64_t count, const Panels<float>& weight,
                                      int64_t depth, float* products, int64_t pitch) {
  constexpr int rows = tile_rows<float>(panels);
  constexpr int columns = panels * kPanel;
  alignas(64) float part[rows * columns];
  for (int64_t m = 0; m < count; m += rows) {
    const int valid = count - m < rows ? static_cast<int>(count - m) : rows;
    for (int64_t k = 0; k < depth; k += kSpan) {
      const Rows<float> from{inputs.data + k, inputs.row, 16, 1};
      const Panels<float> with{weight.data + k * kPanel, weight.panel, kPanel};
      multiply_tile<float, rows, panels, 0>(from, m, valid, with, depth - k < kSpan ? depth - k : kSpan, part);
      for (int i = 0; i < valid; ++i) {
        float* to = products + (m + i) * pitch;
#pragma GCC unroll 4
        for (int j = 0; j < columns; j += V::size) {
          const V sum = load_aligned(part + i * columns + j);
          store_aligned(to + j, k == 0 ? sum : load_aligned(to + j) + sum);
        }
      }
    }
  }
}

void multiply_point(const Rows<float>& inputs, int64_t count, const Panels<float>& weight, int64_t panels,
                    int64_t depth, float* products, int64_t pitch) {
  constexpr int most = kMostPanels<float>;
  int64_t p = 0;
  for (; p + most <= panels; p += most) {
    const Panels<float> here{weight.data + p * weight.panel, weight.panel, weight.step};
    multiply_strip<most>(inputs, count, here, depth, products + p * kPanel, pitch);
  }
  for (; p < panels; ++p) {
    const Panels<float> here{weight.data + p * weight.panel, weight.panel, weight.step};
    multiply_strip<1>(inputs, count, here, depth, products + p * kPanel, pitch);
  }
}

}  // namespace

void winograd_conv_forward(const WinogradConvArgs& args, int64_t begin, int64_t end, float* scratch) {
  const int64_t count = end - begin;
  const WinogradLayout layout = winograd_layout(args.in, args.out, count);
  float* zeros = scratch;
  float* inputs = zeros + layout.in_pitch;
  float* products = inputs + 36 * layout.in_step;
  for (int64_t i = 0; i < layout.in_pitch; ++i) zeros[i] = 0;
  for (int64_t t = 0; t < count; ++t) {
    transform_input(args, tile_at(args, begin + t), zeros, inputs + t * layout.in_pitch, layout.in_step);
  }
  const int64_t panels = (args.out + kPanel - 1) / kPanel;
  for (int point = 0; point < 36; ++point) {
    const Rows<float> rows{inputs + point * layout.in_step, layout.in_pitch, 16, 1};
    const Panels<float> weight{args.weight + point * panels * args.in * kPanel, args.in * kPanel, kPanel};
    multiply_point(rows, count, weight, panels, args.in, products + point * layout.out_step, layout.out_pitch);
  }
  for (int64_t t = 0; t < count; ++t) {
    transform_output(args, tile_at(args, begin + t), products + t * layout.out_pitch, layout.out_step);
  }
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
