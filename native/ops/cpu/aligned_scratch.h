#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

namespace freqfusion::cpu {

// Working memory of one thread, from a multiple of 64 bytes on.
struct AlignedScratch {
  explicit AlignedScratch(int64_t bytes) : data(std::aligned_alloc(64, (bytes + 63) / 64 * 64)) {
    if (data == nullptr) throw std::bad_alloc();
  }
  ~AlignedScratch() { std::free(data); }
  AlignedScratch(const AlignedScratch&) = delete;
  AlignedScratch& operator=(const AlignedScratch&) = delete;
  void* data;
};

}  // namespace freqfusion::cpu
