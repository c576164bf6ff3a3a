#pragma once

// A kernel is a body: a plain struct with the number of its threads and an operator() that does the work of one of
// them. nvcc launches bodies on a stream; a host compiler runs the same blocks and threads in a loop, for the tests.
// Where the threads of a block work together the body has `phases` and a struct `Shared` of plain members: all threads
// end a phase before one of them begins the next, and what passes from phase to phase lies in the shared memory.

#include <stdint.h>

#include <initializer_list>

#include "native/ops/cpu/map.h"
#include "native/ops/cuda/scalar.h"

namespace freqfusion::cuda {

using cpu::Map;
using cpu::Storage;

// Registers, not threads, bound the larger kernels: short blocks leave less of the register file unused.
constexpr int kThreads = 128;

// A [N, C, H, W] map in elements of S, its steps in I: 32 bits wherever every element and every thread fits.
template <typename S, typename I>
struct View {
  S* data;
  I image, channel, row, column;

  View() = default;
  explicit View(const Map& map)
      : data(static_cast<S*>(map.data)),
        image(static_cast<I>(map.image)),
        channel(static_cast<I>(map.channel)),
        row(static_cast<I>(map.row)),
        column(static_cast<I>(map.column)) {}

  FREQFUSION_HD S* at(I n, I c, I y, I x) const { return data + n * image + c * channel + y * row + x * column; }
};

// The sizes that belong to a map.
struct Extent {
  const Map& map;
  int64_t images, channels, rows, columns;
};

// Are all offsets, and all sizes of an output's grid of threads, below 2^31?
inline bool fits_32_bits(std::initializer_list<Extent> extents) {
  constexpr int64_t limit = INT32_MAX - 2 * kThreads;
  for (const Extent& e : extents) {
    if (e.images * e.channels * e.rows * e.columns >= limit) return false;
    if ((e.images - 1) * e.map.image + (e.channels - 1) * e.map.channel + (e.rows - 1) * e.map.row +
            (e.columns - 1) * e.map.column >=
        limit) {
      return false;
    }
  }
  return true;
}

// Can `count` neighbours along the dense step be moved in one access, wherever the other steps lead?
template <typename S>
bool packs(const Map& map, int count, std::initializer_list<int64_t> steps) {
  if (reinterpret_cast<uintptr_t>(map.data) % (count * sizeof(S)) != 0) return false;
  for (const int64_t step : steps) {
    if (step % count != 0) return false;
  }
  return true;
}

template <typename F>
const char* with_storage(Storage storage, F run) {
  switch (storage) {
    case Storage::f32:
      return run(float{});
    case Storage::f64:
      return run(double{});
    case Storage::f16:
      return run(Half{});
    default:
      return run(BFloat16{});
  }
}

#if defined(__CUDACC__)

template <typename Body>
__global__ void __launch_bounds__(kThreads) run_body(const Body body) {
  using I = decltype(body.threads);
  const I thread = static_cast<I>(blockIdx.x) * kThreads + static_cast<I>(threadIdx.x);
  if (thread < body.threads) body(thread);
}

template <typename Body>
__global__ void __launch_bounds__(kThreads) run_block_body(const Body body) {
  __shared__ typename Body::Shared shared;
  FREQFUSION_UNROLL
  for (int phase = 0; phase < Body::phases; ++phase) {
    if (phase > 0) __syncthreads();
    body(phase, static_cast<int64_t>(blockIdx.x), static_cast<int>(threadIdx.x), shared);
  }
}

// What went wrong, or null. `stream` is a cudaStream_t.
template <typename Body>
const char* launch_blocks(const Body& body, void* stream) {
  if (body.blocks <= 0) return nullptr;
  if (body.blocks > INT32_MAX) return "more blocks than one launch can have";
  run_block_body<<<static_cast<unsigned>(body.blocks), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(body);
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

template <typename Body>
const char* launch(const Body& body, void* stream) {
  if (body.threads <= 0) return nullptr;
  const int64_t blocks = (static_cast<int64_t>(body.threads) + kThreads - 1) / kThreads;
  if (blocks > INT32_MAX) return "more blocks than one launch can have";
  run_body<<<static_cast<unsigned>(blocks), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(body);
  const cudaError_t status = cudaGetLastError();
  return status == cudaSuccess ? nullptr : cudaGetErrorString(status);
}

#else

template <typename Body>
const char* launch_blocks(const Body& body, void*) {
#pragma omp parallel for
  for (int64_t block = 0; block < body.blocks; ++block) {
    typename Body::Shared shared;
    for (int phase = 0; phase < Body::phases; ++phase) {
      for (int thread = 0; thread < kThreads; ++thread) body(phase, block, thread, shared);
    }
  }
  return nullptr;
}

template <typename Body>
const char* launch(const Body& body, void*) {
  using I = decltype(body.threads);
  const int64_t blocks = (static_cast<int64_t>(body.threads) + kThreads - 1) / kThreads;
#pragma omp parallel for
  for (int64_t block = 0; block < blocks; ++block) {
    for (int thread = 0; thread < kThreads; ++thread) {
      const int64_t index = block * kThreads + thread;
      if (index < static_cast<int64_t>(body.threads)) body(static_cast<I>(index));
    }
  }
  return nullptr;
}

#endif

}  // namespace freqfusion::cuda
