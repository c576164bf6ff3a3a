#pragma once

// Small blocks of a map, copied between its storage and working buffers in the first-level cache. A kernel that
// works on such blocks needs to know neither the layout nor the storage type, and no plane size makes it thrash.

#include <stddef.h>

#include "native/ops/cpu/map.h"
#include "native/ops/cpu/vec.h"

namespace freqfusion::cpu::FREQFUSION_ISA {

// Values rounded up to whole vectors: the pitch of working buffers.
template <typename A>
constexpr int64_t whole_vectors(int64_t count) {
  return (count + Vec<A>::size - 1) / Vec<A>::size * Vec<A>::size;
}

template <typename A>
FREQFUSION_INLINE void fill_zero(A* to, int64_t count) {
  __builtin_memset(to, 0, static_cast<size_t>(count) * sizeof(A));
}

// `count` values that lie `step` elements apart. Whole vectors are written: `to` has room for them, and the spare
// lanes become 0.
template <typename S>
FREQFUSION_INLINE void load_run(const S* from, int64_t step, int64_t count, Accumulator<S>* to) {
  constexpr int lanes = Vec<Accumulator<S>>::size;
  int64_t i = 0;
  if (step == 1) {
    for (; i + lanes <= count; i += lanes) store(to + i, load(from + i));
    if (i < count) store(to + i, load_partial(from + i, static_cast<int>(count - i)));
    return;
  }
  for (; i < count; ++i) to[i] = widen(from[i * step]);
  for (; i < whole_vectors<Accumulator<S>>(count); ++i) to[i] = 0;
}

template <typename S>
FREQFUSION_INLINE void store_run(S* to, int64_t step, int64_t count, const Accumulator<S>* from) {
  constexpr int lanes = Vec<Accumulator<S>>::size;
  int64_t i = 0;
  if (step == 1) {
    for (; i + lanes <= count; i += lanes) store(to + i, load(from + i));
    if (i < count)
      store_partial(to + i, load_partial(from + i, static_cast<int>(count - i)), static_cast<int>(count - i));
    return;
  }
  for (; i < count; ++i) to[i * step] = narrow<S>(from[i]);
}

template <typename S>
FREQFUSION_INLINE void zero_run(S* to, int64_t step, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i * step] = narrow<S>(0);
}

// A block of channels x pixels, working copy [channel][pixel] with `pitch` values a channel.
template <typename S>
void load_planes(const S* from, int64_t channel_step, int64_t column_step, int64_t channels, int64_t pixels,
                 Accumulator<S>* to, int64_t pitch) {
  if (channel_step == 1 && column_step != 1) {
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t c = 0; c < channels; ++c) to[c * pitch + p] = widen(from[p * column_step + c]);
    }
  } else {
    for (int64_t c = 0; c < channels; ++c) load_run(from + c * channel_step, column_step, pixels, to + c * pitch);
  }
}

template <typename S>
void store_planes(S* to, int64_t channel_step, int64_t column_step, int64_t channels, int64_t pixels,
                  const Accumulator<S>* from, int64_t pitch) {
  if (channel_step == 1 && column_step != 1) {
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t c = 0; c < channels; ++c) to[p * column_step + c] = narrow<S>(from[c * pitch + p]);
    }
  } else {
    for (int64_t c = 0; c < channels; ++c) store_run(to + c * channel_step, column_step, pixels, from + c * pitch);
  }
}

// Hands out pieces of one thread's scratch memory, each on a cache line of its own.
struct Scratch {
  char* next;

  template <typename V>
  V* take(int64_t count) {
    V* piece = reinterpret_cast<V*>(next);
    next += (count * static_cast<int64_t>(sizeof(V)) + 63) / 64 * 64;
    return piece;
  }
};

// Calls body with a value of the storage type: its type alone matters.
template <typename Body>
FREQFUSION_INLINE void with_storage(Storage storage, const Body& body) {
  switch (storage) {
    case Storage::f32:
      return body(float{});
    case Storage::f64:
      return body(double{});
    case Storage::f16:
      return body(Float16{});
    case Storage::bf16:
      return body(BFloat16{});
  }
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
