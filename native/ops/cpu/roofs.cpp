#include "native/ops/roofs.h"

#include <ATen/Parallel.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>

#include "native/ops/cpu/roofs_kernels.h"

namespace freqfusion {
namespace {

struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<float, Free>;

Buffer make_buffer(int64_t floats) {
  void* p = std::aligned_alloc(cpu::kRoofAlignment, floats * sizeof(float));
  if (p == nullptr) throw std::bad_alloc();
  return Buffer(static_cast<float*>(p));
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Each thread gets one contiguous part, as at::parallel_for hands out the rows of a map.
void over_threads(int threads, const std::function<void(int)>& work) {
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) work(static_cast<int>(thread));
  });
}

}  // namespace

RoofSamples measure_roofs(int64_t bytes, int repeats) {
  const int threads = at::get_num_threads();
  const int64_t share = bytes / threads / cpu::kRoofAlignment * cpu::kRoofAlignment / sizeof(float);
  const Buffer from = make_buffer(share * threads);
  const Buffer to = make_buffer(share * threads);
  over_threads(threads, [&](int t) {  // first touch by the thread that will use it
    for (int64_t i = t * share; i < (t + 1) * share; ++i) from.get()[i] = to.get()[i] = 1.0f;
  });
  std::vector<float> sinks(threads);
  const double copied = 2e-9 * static_cast<double>(share * threads * sizeof(float));
  const double computed = 1e-9 * threads * static_cast<double>(FREQFUSION_DISPATCH(roof_fma_flops)(cpu::kRoofRounds));
  const auto copy = [&](auto kernel) {
    return copied / seconds_of([&] {
             over_threads(threads, [&](int t) { kernel(to.get() + t * share, from.get() + t * share, share); });
           });
  };
  const auto fma = [&] {
    return computed / seconds_of([&] {
             over_threads(threads,
                          [&](int t) { sinks[t] += FREQFUSION_DISPATCH(roof_fma)(from.get(), cpu::kRoofRounds); });
           });
  };
  // Interleaved, so that a busy moment does not fall on one of them alone; the first round only warms up.
  RoofSamples samples;
  for (int i = -1; i < repeats; ++i) {
    const double plain = copy(FREQFUSION_DISPATCH(roof_copy));
    const double stream = copy(FREQFUSION_DISPATCH(roof_copy_stream));
    const double peak = fma();
    if (i < 0) continue;
    samples.copy.push_back(plain);
    samples.stream.push_back(stream);
    samples.fma.push_back(peak);
  }
  return samples;
}

}  // namespace freqfusion
