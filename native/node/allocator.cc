#include "native/node/allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#ifdef __linux__
#include <sys/mman.h>
#endif
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <vector>

namespace freqfusion::node {
namespace {

// In front of every block's data, which stays 64-byte aligned. The context of a DataPtr must equal its data pointer
// (oneDNN frees through raw_deallocate), so what the deleter needs stands here.
struct alignas(64) Header {
  size_t capacity;  // bytes of the whole block, header included
};
constexpr size_t kHeader = sizeof(Header);
constexpr size_t kCachedFrom = 256 * 1024;     // smaller blocks go to malloc, which is good at them
constexpr size_t kHugePage = 2 * 1024 * 1024;  // blocks from here on ask for transparent huge pages

// Eight classes an octave: at most an eighth of a block is wasted.
size_t size_class(size_t bytes) {
  const size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

// Bytes that may be kept free: always, and at most while jobs run.
struct CacheLimits {
  size_t idle, busy;
};

class CachingAllocator final : public c10::Allocator {
 public:
  explicit CachingAllocator(const CacheLimits& limits) : limits_(limits) {}

  c10::DataPtr allocate(size_t bytes) override {
    void* data = take(bytes);
    return {data, data, &CachingAllocator::release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &CachingAllocator::release; }
  void copy_data(void* to, const void* from, size_t count) const override { std::memcpy(to, from, count); }

  AllocatorStats stats() {
    std::lock_guard lock(mutex_);
    return {allocated_.load(), static_cast<int64_t>(cached_)};
  }

  void empty() { keep_at_most(0); }
  void trim() { keep_at_most(limits_.idle); }

  static CachingAllocator* instance;

 private:
  // The largest blocks go first: they are the fewest, and the least likely to fit again.
  void keep_at_most(size_t bytes) {
    std::lock_guard lock(mutex_);
    most_ = allocated_.load();
    while (cached_ > bytes) {
      const auto largest = std::prev(free_.end());
      for (auto& blocks = largest->second; cached_ > bytes && !blocks.empty(); cached_ -= largest->first) {
        std::free(blocks.back());
        blocks.pop_back();
      }
      if (largest->second.empty()) free_.erase(largest);
    }
  }

  void* take(size_t bytes) {
    if (bytes == 0) return nullptr;
    TORCH_CHECK_WITH(OutOfMemoryError, bytes < (size_t{1} << 62), "out of memory: ", bytes, " bytes were asked for");
    size_t capacity = bytes + kHeader;
    void* block = nullptr;
    if (capacity >= kCachedFrom) {
      capacity = size_class(capacity);
      block = take_cached(capacity);
    }
    if (block == nullptr) block = fresh(capacity);
    if (block == nullptr) {
      empty();
      block = fresh(capacity);
    }
    TORCH_CHECK_WITH(OutOfMemoryError, block != nullptr, "out of memory: ", bytes, " bytes were asked for, ",
                     allocated_.load(), " are in use by tensors");
    const int64_t in_use = allocated_ += static_cast<int64_t>(capacity);
    int64_t most = most_.load();
    while (in_use > most && !most_.compare_exchange_weak(most, in_use)) {
    }
    static_cast<Header*>(block)->capacity = capacity;
    return static_cast<char*>(block) + kHeader;
  }

  void* take_cached(size_t capacity) {
    std::lock_guard lock(mutex_);
    const auto found = free_.find(capacity);
    if (found == free_.end() || found->second.empty()) return nullptr;
    void* block = found->second.back();
    found->second.pop_back();
    cached_ -= capacity;
    return block;
  }

  static void* fresh(size_t capacity) {
    const size_t alignment = capacity >= 2 * kHugePage ? kHugePage : 64;
    void* block = nullptr;
    if (posix_memalign(&block, alignment, capacity) != 0) return nullptr;
#ifdef __linux__
    if (alignment == kHugePage) madvise(block, capacity, MADV_HUGEPAGE);
#endif
    return block;
  }

  void give(void* block, size_t capacity) {
    allocated_ -= static_cast<int64_t>(capacity);
    if (capacity >= kCachedFrom) {
      std::lock_guard lock(mutex_);
      if (cached_ + capacity <= std::max(limits_.idle, std::min(limits_.busy, static_cast<size_t>(most_.load())))) {
        free_[capacity].push_back(block);
        cached_ += capacity;
        return;
      }
    }
    std::free(block);
  }

  static void release(void* data) {
    if (data == nullptr) return;
    void* block = static_cast<char*>(data) - kHeader;
    instance->give(block, static_cast<Header*>(block)->capacity);
  }

  const CacheLimits limits_;
  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
  size_t cached_ = 0;
  std::atomic<int64_t> allocated_{0};
  std::atomic<int64_t> most_{0};  // that was in use at once since the cache was last trimmed
};

CachingAllocator* CachingAllocator::instance = nullptr;

CacheLimits cache_limits() {
  const char* text = std::getenv("FREQFUSION_ALLOCATOR_CACHE_MB");
  if (text != nullptr) {
    const size_t fixed = static_cast<size_t>(std::max(std::strtol(text, nullptr, 10), 0L)) << 20;
    return {fixed, fixed};
  }
  const auto pages = static_cast<size_t>(std::max(sysconf(_SC_PHYS_PAGES), 0L));
  const auto page = static_cast<size_t>(std::max(sysconf(_SC_PAGESIZE), 0L));
  return {size_t{1} << 30, pages * page / 2};
}

}  // namespace

void install_allocator() {
  static std::once_flag once;
  std::call_once(once, [] {
    const char* choice = std::getenv("FREQFUSION_ALLOCATOR");
    if (choice != nullptr && std::strcmp(choice, "system") == 0) return;
    // Never destroyed: tensors of static objects may outlive every scope of ours.
    CachingAllocator::instance = new CachingAllocator(cache_limits());
    c10::SetCPUAllocator(CachingAllocator::instance, /*priority=*/100);
  });
}

AllocatorStats allocator_stats() {
  return CachingAllocator::instance == nullptr ? AllocatorStats{0, 0} : CachingAllocator::instance->stats();
}

void empty_allocator_cache() {
  if (CachingAllocator::instance != nullptr) CachingAllocator::instance->empty();
}

void trim_allocator_cache() {
  if (CachingAllocator::instance != nullptr) CachingAllocator::instance->trim();
}

}  // namespace freqfusion::node
