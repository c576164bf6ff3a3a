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
#include <map>
#include <mutex>
#include <utility>
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

// Bytes that tensors and free blocks may take together while jobs run: `least` in any case, and `most` at most; where
// nothing is to be done, free blocks take `least` at most. With `fixed`, free blocks alone count, and `least` is all.
struct CacheLimits {
  size_t least, most;
  bool fixed;
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

  void empty() {
    std::lock_guard lock(mutex_);
    keep_at_most(0);
  }
  // What was needed before the last trimming still counts in the next one: a pause between two images is no reason to
  // get the second one's memory anew. Nor are the pauses of several queues, of which one alone has worked.
  void trim() {
    std::lock_guard lock(mutex_);
    keep_at_most(limits_.least);
    if (!std::exchange(used_, false)) return;
    most_before_ = most_.exchange(allocated_.load());
  }

  static CachingAllocator* instance;

 private:
  struct FreeBlocks {
    std::vector<void*> blocks;
    uint64_t used = 0;  // when one was last given back
  };

  // Sizes that have waited longest go first: what weights were derived in is never asked for again.
  void keep_at_most(size_t bytes) {
    while (cached_ > bytes) {
      const auto oldest = std::min_element(free_.begin(), free_.end(),
                                           [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
      for (auto& blocks = oldest->second.blocks; cached_ > bytes && !blocks.empty(); cached_ -= oldest->first) {
        std::free(blocks.back());
        blocks.pop_back();
      }
      if (oldest->second.blocks.empty()) free_.erase(oldest);
    }
  }

  // An eighth more than tensors needed at once: they are not all of one size.
  size_t allowed() const {
    if (limits_.fixed) return limits_.least;
    const auto needed = static_cast<size_t>(std::max(most_.load(), most_before_));
    const size_t total = std::max(limits_.least, std::min(limits_.most, needed + needed / 8));
    const auto in_use = static_cast<size_t>(allocated_.load());
    return total > in_use ? total - in_use : 0;
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
    used_ = true;
    const auto found = free_.find(capacity);
    if (found == free_.end() || found->second.blocks.empty()) return nullptr;
    void* block = found->second.blocks.back();
    found->second.blocks.pop_back();
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
    if (capacity < kCachedFrom) {
      std::free(block);
      return;
    }
    std::lock_guard lock(mutex_);
    FreeBlocks& same = free_[capacity];
    same.blocks.push_back(block);
    same.used = ++clock_;
    cached_ += capacity;
    keep_at_most(allowed());
  }

  static void release(void* data) {
    if (data == nullptr) return;
    void* block = static_cast<char*>(data) - kHeader;
    instance->give(block, static_cast<Header*>(block)->capacity);
  }

  const CacheLimits limits_;
  std::mutex mutex_;
  std::map<size_t, FreeBlocks> free_;  // by capacity
  size_t cached_ = 0;
  uint64_t clock_ = 0;
  bool used_ = false;  // by a block that is worth keeping, since the last trimming
  std::atomic<int64_t> allocated_{0};
  std::atomic<int64_t> most_{0};  // that was in use at once since the cache was last trimmed
  int64_t most_before_ = 0;       // and between the two trimmings before
};

CachingAllocator* CachingAllocator::instance = nullptr;

CacheLimits cache_limits() {
  const char* text = std::getenv("FREQFUSION_ALLOCATOR_CACHE_MB");
  if (text != nullptr) {
    const size_t fixed = static_cast<size_t>(std::max(std::strtol(text, nullptr, 10), 0L)) << 20;
    return {fixed, fixed, true};
  }
  const auto pages = static_cast<size_t>(std::max(sysconf(_SC_PHYS_PAGES), 0L));
  const auto page = static_cast<size_t>(std::max(sysconf(_SC_PAGESIZE), 0L));
  return {size_t{1} << 30, pages * page / 2, false};
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
