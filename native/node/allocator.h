#pragma once

#include <cstdint>

namespace freqfusion::node {

// A bounded caching allocator for CPU tensors: fresh pages cost more than a fused operator's arithmetic, so large
// blocks are kept for the next tensor of their size. Installed once per process, from the addon's start alone, never
// from the operator library: PyTorch would get it too. FREQFUSION_ALLOCATOR=system leaves libtorch's own in place;
// FREQFUSION_ALLOCATOR_CACHE_MB bounds what is kept free (default 1024).
void install_allocator();

struct AllocatorStats {
  int64_t allocated_bytes;
  int64_t cached_bytes;
};
AllocatorStats allocator_stats();
void empty_allocator_cache();

}  // namespace freqfusion::node
