#include "native/ops/cpu/conv_mlp_kernels.h"

#include "native/ops/cpu/gelu.h"
#include "native/ops/cpu/panel_product.h"
#include "native/ops/cpu/staging.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

// Rows go through three steps, `step` rows at a time: fc1 into a ring of hidden rows, the depthwise convolution with
// GELU, and fc2 into the output. The hidden rows are cut into panels of 16 channels, [panel][row][pixel][16]: the
// convolution walks along consecutive memory with its nine weights in registers, and fc2 reads its operand from there.
// For SegNeXt-T a hidden row takes 128 KB, so that the ring and the rows of one step stay in the second-level cache.
template <typename A>
class Bands {
 public:
  Bands(const ConvMlpArgs& args, void* scratch)
      : args_(args),
        panels_((args.hidden + kPanel - 1) / kPanel),
        row_((args.width + 2) * kPanel),
        slots_(args.step + 2),
        ring_panel_(slots_ * row_),
        mixed_panel_(args.step * args.width * kPanel) {
    Scratch memory{static_cast<char*>(scratch)};
    ring_ = memory.take<A>(panels_ * ring_panel_);
    mixed_ = memory.take<A>(panels_ * mixed_panel_);  // fc2 may read a tile past its end
    memory.take<A>(8 * kPanel);
    zeros_ = memory.take<A>(row_);
    fill_zero(zeros_, row_);
    places_ = memory.take<int64_t>(slots_ * args.width);
    clear_edges();
  }

  // Rows first .. last of one image.
  void run(int64_t image, int64_t first, int64_t last) {
    const int64_t pixels = image * args_.height * args_.width;
    const A* x = static_cast<const A*>(args_.x) + pixels * args_.x_pixel;
    A* output = static_cast<A*>(args_.output) + pixels * args_.channels;
    int64_t next = first > 0 ? first - 1 : 0;
    for (int64_t y = first; y < last; y += args_.step) {
      const int64_t rows = last - y < args_.step ? last - y : args_.step;
      const int64_t needed = y + rows + 1 < args_.height ? y + rows + 1 : args_.height;
      expand(x, next, needed);
      next = needed;
      for (int64_t p = 0; p < panels_; ++p) {
        for (int64_t r = 0; r < rows; ++r) mix(p, y + r, mixed_ + p * mixed_panel_ + r * args_.width * kPanel);
      }
      contract(x, output, y, rows);
    }
  }

 private:
  // The pixels left and right of every row.
  void clear_edges() {
    for (int64_t i = 0; i < panels_ * slots_; ++i) {
      fill_zero(ring_ + i * row_, kPanel);
      fill_zero(ring_ + (i + 1) * row_ - kPanel, kPanel);
    }
  }

  A* hidden_row(int64_t panel, int64_t y) { return ring_ + panel * ring_panel_ + y % slots_ * row_; }

  // fc1 of rows begin .. end.
  void expand(const A* x, int64_t begin, int64_t end) {
    if (begin >= end) return;
    const int64_t width = args_.width;
    for (int64_t y = begin, i = 0; y < end; ++y) {
      const int64_t first = y % slots_ * row_ + kPanel;
      for (int64_t column = 0; column < width; ++column) places_[i++] = first + column * kPanel;
    }
    const Rows<A> rows{x + begin * width * args_.x_pixel, args_.x_pixel, 16, 1};
    const Panels<A> weight{static_cast<const A*>(args_.fc1), args_.channels * kPanel, kPanel};
    const A* bias = static_cast<const A*>(args_.fc1_bias);
    multiply<A>(rows, (end - begin) * width, weight, panels_, args_.channels,
                [&](const A* tile, int64_t pitch, int64_t m, int count, int64_t n, int64_t columns) {
                  for (int64_t j = 0; j < columns; j += kPanel) {
                    A* panel = ring_ + (n + j) / kPanel * ring_panel_;
                    for (int v = 0; v < kPanel; v += Vec<A>::size) {
                      const Vec<A> shift = load(bias + n + j + v);
                      for (int i = 0; i < count; ++i) {
                        store(panel + places_[m + i] + v, load_aligned(tile + i * pitch + j + v) + shift);
                      }
                    }
                  }
                });
  }

  // The convolution and GELU of row y of one panel.
  void mix(int64_t panel, int64_t y, A* to) {
    const A* above = y > 0 ? hidden_row(panel, y - 1) : zeros_;
    const A* here = hidden_row(panel, y);
    const A* below = y + 1 < args_.height ? hidden_row(panel, y + 1) : zeros_;
    for (int v = 0; v < kPanel; v += Vec<A>::size) {
      const A* weight = static_cast<const A*>(args_.depthwise) + panel * 9 * kPanel + v;
      const Vec<A> bias = load(static_cast<const A*>(args_.depthwise_bias) + panel * kPanel + v);
      int64_t x = 0;
      for (; x + 4 <= args_.width; x += 4) {
        mix_pixels<4>(above + x * kPanel + v, here + x * kPanel + v, below + x * kPanel + v, weight, bias,
                      to + x * kPanel + v);
      }
      for (; x < args_.width; ++x) {
        mix_pixels<1>(above + x * kPanel + v, here + x * kPanel + v, below + x * kPanel + v, weight, bias,
                      to + x * kPanel + v);
      }
    }
  }

  template <int pixels>
  static FREQFUSION_INLINE void mix_pixels(const A* above, const A* here, const A* below, const A* weight, Vec<A> bias,
                                           A* to) {
    const A* rows[3] = {above, here, below};
    Vec<A> sum[pixels];
#pragma GCC unroll 4
    for (int i = 0; i < pixels; ++i) sum[i] = bias;
#pragma GCC unroll 3
    for (int dy = 0; dy < 3; ++dy) {
#pragma GCC unroll 3
      for (int dx = 0; dx < 3; ++dx) {
        const Vec<A> w = load(weight + (dy * 3 + dx) * kPanel);
#pragma GCC unroll 4
        for (int i = 0; i < pixels; ++i) sum[i] = fma(load(rows[dy] + (i + dx) * kPanel), w, sum[i]);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < pixels; ++i) store(to + i * kPanel, gelu(sum[i]));
  }

  // fc2 of rows y .. y + rows, and the residual.
  void contract(const A* x, A* output, int64_t y, int64_t rows) {
    const int64_t first = y * args_.width, channels = args_.channels;
    const Rows<A> operand{mixed_, kPanel, mixed_panel_, 1};
    const Panels<A> weight{static_cast<const A*>(args_.fc2), args_.hidden * kPanel, kPanel};
    const A* bias = static_cast<const A*>(args_.fc2_bias);
    multiply<A, kPanel>(operand, rows * args_.width, weight, (channels + kPanel - 1) / kPanel, args_.hidden,
                        [&](const A* tile, int64_t pitch, int64_t m, int count, int64_t n, int64_t columns) {
                          for (int64_t j = 0; j < columns && n + j < channels; j += Vec<A>::size) {
                            const int64_t left = channels - n - j;
                            const int lanes = left < Vec<A>::size ? static_cast<int>(left) : Vec<A>::size;
                            const Vec<A> shift = load(bias + n + j);
                            for (int i = 0; i < count; ++i) {
                              const int64_t pixel = first + m + i;
                              const Vec<A> sum = load_aligned(tile + i * pitch + j) + shift;
                              const A* residual = x + pixel * args_.x_pixel + n + j;
                              A* to = output + pixel * channels + n + j;
                              if (lanes == Vec<A>::size) {
                                store(to, sum + load(residual));
                              } else {
                                store_partial(to, sum + load_partial(residual, lanes), lanes);
                              }
                            }
                          }
                        });
  }

  const ConvMlpArgs& args_;
  const int64_t panels_, row_, slots_, ring_panel_, mixed_panel_;
  A *ring_, *mixed_, *zeros_;
  int64_t* places_;  // of the pixels that are expanded, in a panel of the ring
};

template <typename A>
void forward(const ConvMlpArgs& args, int64_t begin, int64_t end, void* scratch) {
  Bands<A> bands(args, scratch);
  while (begin < end) {
    const int64_t image = begin / args.height, first = begin % args.height;
    const int64_t rows = end - begin < args.height - first ? end - begin : args.height - first;
    bands.run(image, first, first + rows);
    begin += rows;
  }
}

}  // namespace

void conv_mlp_forward(const ConvMlpArgs& args, int64_t begin, int64_t end, void* scratch) {
  if (args.storage == Storage::f64) return forward<double>(args, begin, end, scratch);
  forward<float>(args, begin, end, scratch);
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
