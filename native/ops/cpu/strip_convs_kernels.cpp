#include "native/ops/cpu/strip_convs_kernels.h"

#include "native/ops/cpu/panel_product.h"
#include "native/ops/cpu/staging.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

constexpr int kRows = 4;  // rows of the output that are finished together

// The last rows of a map of one panel: row y lies in slot y % depth, with `margin` pixels of zeros on both sides.
template <typename A>
struct Ring {
  A* data;
  int64_t depth, pitch, margin, height;
  const A* zeros;

  A* slot(int64_t y) const { return data + y % depth * pitch + margin * kPanel; }
  // Of any y: zeros outside the map.
  const A* row(int64_t y) const { return y < 0 || y >= height ? zeros + margin * kPanel : slot(y); }
};

// sum over t of rows[y][(x + t) * 16] * weight[y * taps + t] for `pixels` pixels from x = 0.
template <int pixels, int rows, typename A>
FREQFUSION_INLINE void across(const A* const (&from)[rows], int64_t x, int taps, const A* weight, Vec<A> bias, A* to) {
  Vec<A> sum[pixels];
#pragma GCC unroll 8
  for (int i = 0; i < pixels; ++i) sum[i] = bias;
#pragma GCC unroll 5
  for (int y = 0; y < rows; ++y) {
    const A* at = from[y] + x * kPanel;
    for (int t = 0; t < taps; ++t, at += kPanel, weight += kPanel) {
      const Vec<A> w = load(weight);
#pragma GCC unroll 8
      for (int i = 0; i < pixels; ++i) sum[i] = fma(load(at + i * kPanel), w, sum[i]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < pixels; ++i) store(to + (x + i) * kPanel, sum[i]);
}

template <int rows, typename A>
void filter_row(const A* const (&from)[rows], int64_t width, int taps, const A* weight, const A* bias, A* to) {
  constexpr int lanes = Vec<A>::size;
  for (int v = 0; v < kPanel; v += lanes) {
    const A* source[rows];
    for (int y = 0; y < rows; ++y) source[y] = from[y] + v;
    const Vec<A> shift = load(bias + v);
    int64_t x = 0;
    for (; x + 8 <= width; x += 8) across<8>(source, x, taps, weight + v, shift, to + v);
    for (; x < width; ++x) across<1>(source, x, taps, weight + v, shift, to + v);
  }
}

// Adds the vertical strip of `taps` taps to kRows x pixels sums. Row t of the strip's input counts for output row j
// with tap t - j.
template <int pixels, int taps, typename A>
FREQFUSION_INLINE void down(const A* const* rows, int64_t x, const A* weight, Vec<A> (&sum)[kRows][pixels]) {
  for (int t = 0; t < taps + kRows - 1; ++t) {
    Vec<A> value[pixels];
#pragma GCC unroll 4
    for (int i = 0; i < pixels; ++i) value[i] = load(rows[t] + (x + i) * kPanel);
#pragma GCC unroll 4
    for (int j = 0; j < kRows; ++j) {
      if (t < j || t - j >= taps) continue;
      const Vec<A> w = load(weight + (t - j) * kPanel);
#pragma GCC unroll 4
      for (int i = 0; i < pixels; ++i) sum[j][i] = fma(value[i], w, sum[j][i]);
    }
  }
}

// One panel of 16 channels goes down the rows. Every stage keeps only the rows that later ones still read, in rings
// that fit the second-level cache together (560 KB at 128 pixels a row):
//   x (5 rows), a = conv5x5(x) (14), and the three horizontal strips of a (10, 14 and 24).
// The horizontal strips of 7 and 11 are computed when a's rows are 7 and 5 behind the newest, as late as they can be.
template <typename A>
class Descent {
 public:
  Descent(const StripConvsArgs& args, const StripConvsTask& task, void* scratch) : args_(args), task_(task) {
    A* memory = static_cast<A*>(scratch);
    zeros_ = memory;
    memory += (args.width + 20) * kPanel;
    fill_zero(zeros_, (args.width + 20) * kPanel);
    x_ = ring(memory, 5, 2);
    a_ = ring(memory, 14, 10);
    across7_ = ring(memory, 10, 0);
    across11_ = ring(memory, 14, 0);
    across21_ = ring(memory, 24, 0);
    weight_ = static_cast<const A*>(args.weight) + task.panel * 103 * kPanel;
    bias_ = static_cast<const A*>(args.bias) + task.panel * 7 * kPanel;
  }

  void run() {
    first_ = task_.begin > 10 ? task_.begin - 10 : 0;
    next_x_ = first_ > 2 ? first_ - 2 : 0;
    int64_t newest = first_;
    for (int64_t y = task_.begin; y < task_.end; y += kRows) {
      for (; newest < y + 10 + kRows; ++newest) advance(newest);
      finish(y, task_.end - y < kRows ? task_.end - y : kRows);
    }
  }

 private:
  Ring<A> ring(A*& memory, int64_t depth, int64_t margin) {
    const Ring<A> made{memory, depth, (args_.width + 2 * margin) * kPanel, margin, args_.height, zeros_};
    memory += depth * made.pitch;
    for (int64_t i = 0; i < depth && margin > 0; ++i) {
      fill_zero(made.data + i * made.pitch, margin * kPanel);
      fill_zero(made.data + (i + 1) * made.pitch - margin * kPanel, margin * kPanel);
    }
    return made;
  }

  void load_row(int64_t y) {
    constexpr int lanes = Vec<A>::size;
    const int64_t channel = task_.panel * kPanel, left = args_.channels - channel;
    const A* from =
        static_cast<const A*>(args_.x) + ((task_.image * args_.height + y) * args_.width) * args_.x_pixel + channel;
    A* to = x_.slot(y);
    for (int64_t x = 0; x < args_.width; ++x, from += args_.x_pixel, to += kPanel) {
      for (int v = 0; v < kPanel; v += lanes) {
        const int64_t rest = left - v < 0 ? 0 : left - v;
        store(to + v, rest >= lanes ? load(from + v) : load_partial(from + v, static_cast<int>(rest)));
      }
    }
  }

  // The rows of all stages that become possible with row `y` of a, which may lie below the map.
  void advance(int64_t y) {
    if (y < args_.height) {
      for (; next_x_ <= y + 2 && next_x_ < args_.height; ++next_x_) load_row(next_x_);
      const A* rows[5];
      for (int i = 0; i < 5; ++i) rows[i] = x_.row(y - 2 + i) - 2 * kPanel;
      filter_row(rows, args_.width, 5, weight_, bias_, a_.slot(y));
      filter_a(y, 21, weight_ + 61 * kPanel, bias_ + 5 * kPanel, across21_);
    }
    filter_a(y - 5, 11, weight_ + 39 * kPanel, bias_ + 3 * kPanel, across11_);
    filter_a(y - 7, 7, weight_ + 25 * kPanel, bias_ + kPanel, across7_);
  }

  void filter_a(int64_t y, int taps, const A* weight, const A* bias, const Ring<A>& to) {
    if (y < first_ || y >= args_.height) return;
    const A* rows[1] = {a_.slot(y) - taps / 2 * kPanel};
    filter_row(rows, args_.width, taps, weight, bias, to.slot(y));
  }

  // Rows y .. y + rows of the output.
  void finish(int64_t y, int64_t rows) {
    constexpr int lanes = Vec<A>::size;
    const A *a[kRows], *seven[7 + kRows - 1], *eleven[11 + kRows - 1], *twentyone[21 + kRows - 1];
    for (int v = 0; v < kPanel; v += lanes) {
      for (int i = 0; i < kRows; ++i) a[i] = a_.row(y + i) + v;
      for (int i = 0; i < 7 + kRows - 1; ++i) seven[i] = across7_.row(y - 3 + i) + v;
      for (int i = 0; i < 11 + kRows - 1; ++i) eleven[i] = across11_.row(y - 5 + i) + v;
      for (int i = 0; i < 21 + kRows - 1; ++i) twentyone[i] = across21_.row(y - 10 + i) + v;
      int64_t x = 0;
      for (; x + 4 <= args_.width; x += 4) finish_pixels<4>(a, seven, eleven, twentyone, x, y, rows, v);
      for (; x < args_.width; ++x) finish_pixels<1>(a, seven, eleven, twentyone, x, y, rows, v);
    }
  }

  template <int pixels>
  FREQFUSION_INLINE void finish_pixels(const A* const* a, const A* const* seven, const A* const* eleven,
                                       const A* const* twentyone, int64_t x, int64_t y, int64_t rows, int v) {
    const Vec<A> bias = load(bias_ + 2 * kPanel + v) + load(bias_ + 4 * kPanel + v) + load(bias_ + 6 * kPanel + v);
    Vec<A> sum[kRows][pixels];
#pragma GCC unroll 4
    for (int j = 0; j < kRows; ++j) {
#pragma GCC unroll 4
      for (int i = 0; i < pixels; ++i) sum[j][i] = load(a[j] + (x + i) * kPanel) + bias;
    }
    down<pixels, 7>(seven, x, weight_ + 32 * kPanel + v, sum);
    down<pixels, 11>(eleven, x, weight_ + 50 * kPanel + v, sum);
    down<pixels, 21>(twentyone, x, weight_ + 82 * kPanel + v, sum);
    const int64_t channel = task_.panel * kPanel + v, left = args_.channels - channel;
    if (left <= 0) return;
#pragma GCC unroll 4
    for (int j = 0; j < kRows; ++j) {
      if (j >= rows) continue;
      A* to = static_cast<A*>(args_.output) +
              ((task_.image * args_.height + y + j) * args_.width + x) * args_.channels + channel;
#pragma GCC unroll 4
      for (int i = 0; i < pixels; ++i) {
        if (left >= Vec<A>::size) {
          store(to + i * args_.channels, sum[j][i]);
        } else {
          store_partial(to + i * args_.channels, sum[j][i], static_cast<int>(left));
        }
      }
    }
  }

  const StripConvsArgs& args_;
  const StripConvsTask& task_;
  const A *weight_, *bias_;
  A* zeros_;
  Ring<A> x_, a_, across7_, across11_, across21_;
  int64_t first_ = 0, next_x_ = 0;
};

}  // namespace

void strip_convs_forward(const StripConvsArgs& args, const StripConvsTask& task, void* scratch) {
  if (args.storage == Storage::f64) return Descent<double>(args, task, scratch).run();
  Descent<float>(args, task, scratch).run();
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
