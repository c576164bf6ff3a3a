#include "native/ops/cpu/kernel_normalizer_kernels.h"

#include "native/ops/cpu/kernel_normalizer_taps.h"
#include "native/ops/cpu/staging.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

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
