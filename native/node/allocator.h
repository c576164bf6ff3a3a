#pragma once

#include <cstdint>

namespace freqfusion::node {

// A bounded caching allocator for CPU tensors: fresh pages cost more than a fused operator's arithmetic, so large
// blocks are kept for the next tensor of their size. Installed once per process, from the addon's start alone, never
// from the operator library: PyTorch would get it too. FREQFUSION_ALLOCATOR=system leaves libtorch's own in place.
// While jobs run, tensors and free blocks together take an eighth more than tensors have needed at once, or 1 GB, and
// at most half of the machine's memory; trim_allocator_cache leaves 1 GB of free blocks. FREQFUSION_ALLOCATOR_CACHE_MB
// is a fixed bound instead.
void install_allocator();

struct AllocatorStats {
  int64_t allocated_bytes;
  int64_t cached_bytes;
};
AllocatorStats allocator_stats();
void empty_allocator_cache();
void trim_allocator_cache();  // when there is nothing to do: large images must not hold their memory for ever

}  // namespace freqfusion::node
