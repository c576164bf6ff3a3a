#pragma once

// The bodies of kernel_normalizer: a thread owns the kernel of one pixel and one group.

#include "native/ops/cuda/kernel_normalizer.h"

namespace freqfusion::cuda {

FREQFUSION_HD float exponential(float x) { return expf(x); }
FREQFUSION_HD double exponential(double x) { return exp(x); }

// A NaN among the logits makes the sum of the exponentials NaN, wherever it stands.
template <typename A>
FREQFUSION_HD A larger(A a, A b) {
  return b > a ? b : a;
}

// Where the kernels of a thread begin.
template <typename I>
struct KernelGrid {
  I groups, taps, height, width, threads;

  explicit KernelGrid(const KernelNormalizerArgs& args)
      : groups(static_cast<I>(args.groups)),
        taps(static_cast<I>(args.kernel_size) * args.kernel_size),
        height(static_cast<I>(args.height)),
        width(static_cast<I>(args.width)),
        threads(static_cast<I>(args.batch) * groups * height * width) {}

  template <typename S>
  FREQFUSION_HD S* begin(const View<S, I>& view, I t) const {
    const I x = t % width;
    t /= width;
    const I y = t % height;
    t /= height;
    return view.at(t / groups, t % groups * taps, y, x);
  }
};

// The usual kernels: the taps stay in registers, each is read and written once.
template <typename S, typename I, int k>
struct NormalizeInRegisters {
  using A = Accumulator<S>;
  KernelGrid<I> grid;
  View<S, I> in, out;
  I threads;
  float window[k * k];

  explicit NormalizeInRegisters(const KernelNormalizerArgs& args)
      : grid(args), in(args.in), out(args.out), threads(grid.threads) {
    for (int t = 0; t < k * k; ++t) window[t] = static_cast<float>(args.side[t / k] * args.side[t % k]);
  }

  FREQFUSION_HD void operator()(I thread) const {
    const S* from = grid.begin(in, thread);
    A taps[k * k];
    A largest = 0;
    FREQFUSION_UNROLL
    for (int t = 0; t < k * k; ++t) {
      taps[t] = widen(from[t * in.channel]);
      largest = t == 0 ? taps[0] : larger(largest, taps[t]);
    }
    A total = 0;
    FREQFUSION_UNROLL
    for (int t = 0; t < k * k; ++t) {
      taps[t] = exponential(taps[t] - largest) * static_cast<A>(window[t]);
      total += taps[t];
    }
    const A scale = A(1) / total;
    S* to = grid.begin(out, thread);
    FREQFUSION_UNROLL
    for (int t = 0; t < k * k; ++t) to[t * out.channel] = narrow<S>(taps[t] * scale);
  }
};

// Any kernel: three passes over the taps, the later ones out of the cache.
template <typename S, typename I>
struct NormalizeInPasses {
  using A = Accumulator<S>;
  KernelGrid<I> grid;
  View<S, I> in, out;
  I threads;
  int kernel_size;
  double side[kLargestKernel];

  explicit NormalizeInPasses(const KernelNormalizerArgs& args)
      : grid(args), in(args.in), out(args.out), threads(grid.threads), kernel_size(args.kernel_size) {
    for (int i = 0; i < kLargestKernel; ++i) side[i] = args.side[i];
  }

  FREQFUSION_HD A weight(const S* tap, A largest, int y, int x) const {
    return exponential(widen(*tap) - largest) * static_cast<A>(static_cast<float>(side[y] * side[x]));
  }

  FREQFUSION_HD void operator()(I thread) const {
    const S* from = grid.begin(in, thread);
    A largest = widen(*from);
    for (I t = 1; t < grid.taps; ++t) largest = larger(largest, widen(from[t * in.channel]));
    A total = 0;
    const S* tap = from;
    for (int y = 0; y < kernel_size; ++y) {
      for (int x = 0; x < kernel_size; ++x, tap += in.channel) total += weight(tap, largest, y, x);
    }
    const A scale = A(1) / total;
    tap = from;
    S* to = grid.begin(out, thread);
    for (int y = 0; y < kernel_size; ++y) {
      for (int x = 0; x < kernel_size; ++x, tap += in.channel, to += out.channel) {
        *to = narrow<S>(weight(tap, largest, y, x) * scale);
      }
    }
  }
};

// y_t = w_t e_t / sum(w e), so dL/dlogit_t = y_t (g_t - sum(g y)), whatever the window.
template <typename S, typename I>
struct NormalizeGradient {
  using A = Accumulator<S>;
  KernelGrid<I> grid;
  View<const S, I> output, grad_output;
  View<S, I> grad_logits;
  I threads;

  explicit NormalizeGradient(const KernelNormalizerArgs& args)
      : grid(args), output(args.in), grad_output(args.grad_output), grad_logits(args.out), threads(grid.threads) {}

  FREQFUSION_HD void operator()(I thread) const {
    const S* y = grid.begin(output, thread);
    const S* g = grid.begin(grad_output, thread);
    S* to = grid.begin(grad_logits, thread);
    A mean = 0;
    for (I t = 0; t < grid.taps; ++t)
      mean += widen(read(g + t * grad_output.channel)) * widen(read(y + t * output.channel));
    for (I t = 0; t < grid.taps; ++t) {
      const A value = widen(read(y + t * output.channel));
      to[t * grad_logits.channel] = narrow<S>(value * (widen(read(g + t * grad_output.channel)) - mean));
    }
  }
};

}  // namespace freqfusion::cuda
