#include "native/ops/cpu/kernel_normalizer_kernels.h"

#include <math.h>

#include "native/ops/cpu/staging.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

// exp(x) for x <= 0, to about one unit in the last place, subnormal results included; NaN stays NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2, exp(x) = 2^n exp(r), exp(r) by its Taylor series: the first term left out,
// r^8 / 8!, is under 6e-9.
FREQFUSION_INLINE Vec<float> exp_negative(Vec<float> x) {
  typedef int32_t Bits __attribute__((vector_size(kVectorBytes)));
  using Native = Vec<float>::Native;
  constexpr float round_magic = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  x = max(broadcast(-104.0f), x);             // exp(-104) rounds to 0; max keeps a NaN in its second operand
  const Vec<float> shifted = fma(x, broadcast(1.44269504f), broadcast(round_magic));
  const Vec<float> n = shifted - broadcast(round_magic);
  Vec<float> r = fma(n, broadcast(-0.693359375f), x);  // ln 2 in two parts, the first exact in 10 bits
  r = fma(n, broadcast(2.12194440e-4f), r);
  Vec<float> p = broadcast(1.0f / 5040);
  p = fma(p, r, broadcast(1.0f / 720));
  p = fma(p, r, broadcast(1.0f / 120));
  p = fma(p, r, broadcast(1.0f / 24));
  p = fma(p, r, broadcast(1.0f / 6));
  p = fma(p, r, broadcast(0.5f));
  p = fma(p, r, broadcast(1.0f));
  p = fma(p, r, broadcast(1.0f));
  // 2^n in two factors, as 2^-150 is no float.
  const Bits exponent = (Bits)shifted.v - 0x4B400000;
  const Bits half = exponent >> 1;
  const Vec<float> first{(Native)((half + 127) << 23)};
  const Vec<float> second{(Native)((exponent - half + 127) << 23)};
  return p * first * second;
}

FREQFUSION_INLINE Vec<double> exp_negative(Vec<double> x) {
  for (int i = 0; i < Vec<double>::size; ++i) x.v[i] = exp(x.v[i]);
  return x;
}

// taps[t][pitch] holds the logits of whole vectors of pixels and takes the normalised kernels.
template <typename A>
void normalize(A* taps, int64_t count, int64_t pitch, const float* window) {
  for (int64_t i = 0; i < pitch; i += Vec<A>::size) {
    Vec<A> largest = load(taps + i);
    // A NaN among the logits makes exp(NaN - largest) and with it the sum NaN, wherever it stands.
    for (int64_t t = 1; t < count; ++t) largest = max(load(taps + t * pitch + i), largest);
    Vec<A> total = zero<A>();
    for (int64_t t = 0; t < count; ++t) {
      A* tap = taps + t * pitch + i;
      const Vec<A> weight = exp_negative(load(tap) - largest) * broadcast<A>(window[t]);
      total = total + weight;
      store(tap, weight);
    }
    const Vec<A> scale = broadcast<A>(1) / total;
    for (int64_t t = 0; t < count; ++t) {
      A* tap = taps + t * pitch + i;
      store(tap, load(tap) * scale);
    }
  }
}

// y_t = w_t e_t / sum(w e), so dL/dlogit_t = y_t (g_t - sum(g y)), whatever the window. The result replaces grads.
template <typename A>
void normalize_gradient(A* grads, const A* outputs, int64_t count, int64_t pitch) {
  for (int64_t i = 0; i < pitch; i += Vec<A>::size) {
    Vec<A> mean = zero<A>();
    for (int64_t t = 0; t < count; ++t) mean = fma(load(grads + t * pitch + i), load(outputs + t * pitch + i), mean);
    for (int64_t t = 0; t < count; ++t) {
      A* grad = grads + t * pitch + i;
      store(grad, load(outputs + t * pitch + i) * (load(grad) - mean));
    }
  }
}

// Where one run of pixels of one group lies.
struct Run {
  int64_t image, channel, row, column, pixels;

  Run(const KernelNormalizerArgs& args, int64_t index) {
    column = index % args.runs_per_row * args.run;
    index /= args.runs_per_row;
    row = index % args.height;
    index /= args.height;
    channel = index % args.groups * args.taps;
    image = index / args.groups;
    pixels = args.width - column < args.run ? args.width - column : args.run;
  }

  template <typename S>
  S* in(const Map& map) const {
    return static_cast<S*>(map.data) + image * map.image + channel * map.channel + row * map.row + column * map.column;
  }
};

template <typename S>
void load_taps(const KernelNormalizerArgs& args, const Run& run, const Map& map, Accumulator<S>* to, int64_t pitch) {
  load_planes(run.in<S>(map), map.channel, map.column, args.taps, run.pixels, to, pitch);
  // The last vector's spare lanes are computed too: give them finite values.
  for (int64_t t = 0; t < args.taps; ++t) fill_zero(to + t * pitch + run.pixels, pitch - run.pixels);
}

template <typename S>
void forward_runs(const KernelNormalizerArgs& args, int64_t begin, int64_t end) {
  using A = Accumulator<S>;
  alignas(64) A taps[kNormalizerBuffer];
  for (int64_t index = begin; index < end; ++index) {
    const Run run(args, index);
    const int64_t pitch = whole_vectors<A>(run.pixels);
    load_taps<S>(args, run, args.in, taps, pitch);
    normalize(taps, args.taps, pitch, args.window);
    store_planes(run.in<S>(args.out), args.out.channel, args.out.column, args.taps, run.pixels, taps, pitch);
  }
}

template <typename S>
void backward_runs(const KernelNormalizerArgs& args, int64_t begin, int64_t end) {
  using A = Accumulator<S>;
  alignas(64) A outputs[kNormalizerBuffer];
  alignas(64) A grads[kNormalizerBuffer];
  for (int64_t index = begin; index < end; ++index) {
    const Run run(args, index);
    const int64_t pitch = whole_vectors<A>(run.pixels);
    load_taps<S>(args, run, args.in, outputs, pitch);
    load_taps<S>(args, run, args.grad, grads, pitch);
    normalize_gradient(grads, outputs, args.taps, pitch);
    store_planes(run.in<S>(args.out), args.out.channel, args.out.column, args.taps, run.pixels, grads, pitch);
  }
}

}  // namespace

void kernel_normalizer_forward(const KernelNormalizerArgs& args, int64_t begin, int64_t end) {
  with_storage(args.storage, [&](auto storage) { forward_runs<decltype(storage)>(args, begin, end); });
}

void kernel_normalizer_backward(const KernelNormalizerArgs& args, int64_t begin, int64_t end) {
  with_storage(args.storage, [&](auto storage) { backward_runs<decltype(storage)>(args, begin, end); });
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
