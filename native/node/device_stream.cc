#include "native/node/device_stream.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>

namespace freqfusion::node {
namespace {

std::string gigabytes(int64_t bytes) {
  char text[32];
  const double value = static_cast<double>(bytes);
  if (value >= 1e9) {
    std::snprintf(text, sizeof text, "%.2f GB", value / 1e9);
  } else {
    std::snprintf(text, sizeof text, "%.1f MB", value / 1e6);
  }
  return text;
}

std::string shortage_text(const std::string& device, int64_t requested, const DeviceMemory& memory) {
  const std::string wanted = requested > 0 ? gigabytes(requested) + " were asked for" : "a library asked for memory";
  return device + " is out of memory: " + wanted + ", " + gigabytes(memory.free) + " of " + gigabytes(memory.total) +
         " are free, " + gigabytes(memory.allocated) + " are in tensors and " + gigabytes(memory.reserved) +
         " reserved by this process";
}

// cuDNN, cuBLAS and CUDA itself allocate beside libtorch's allocator; only the words of their errors say so.
bool says_out_of_memory(const std::string& message) {
  for (const char* words : {"CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"}) {
    if (message.find(words) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

void DeviceRuntime::lose(int index, const std::string& reason) {
  std::lock_guard lock(mutex_);
  lost_.emplace(index, reason);
}

std::optional<std::string> DeviceRuntime::lost(int index) {
  std::lock_guard lock(mutex_);
  const auto found = lost_.find(index);
  return found == lost_.end() ? std::nullopt : std::optional(found->second);
}

DeviceMemoryError::DeviceMemoryError(const std::string& device, int64_t requested, const DeviceMemory& memory)
    : Error("ERR_CUDA_OUT_OF_MEMORY", shortage_text(device, requested, memory)),
      requested_(requested),
      free_(memory.free),
      reserved_(memory.reserved) {}

DeviceStream::DeviceStream(DeviceRuntime& runtime, int index)
    : runtime_(runtime), index_(index), stream_(runtime.new_stream(index)) {}

void DeviceStream::run(const std::function<void()>& work) {
  check_alive();
  if (!attempt(work)) return;
  drop_caches();
  retry(work);
}

void DeviceStream::run_beside_queue(const std::function<void()>& work) {
  check_alive();
  if (attempt(work)) retry(work);
}

void DeviceStream::finish(const std::function<void()>& work) {
  check_alive();
  if (const auto requested = attempt(work)) throw DeviceMemoryError(name(), *requested, runtime_.memory(index_));
}

// The bytes that were not to be had (0: unknown), or nothing where the work was done.
std::optional<int64_t> DeviceStream::attempt(const std::function<void()>& work) {
  try {
    runtime_.take_failed_allocation();
    work();
    return std::nullopt;
  } catch (const c10::OutOfMemoryError&) {
    const auto requested = runtime_.take_failed_allocation();
    if (!requested) throw;  // it was the CPU's memory
    return requested;
  } catch (const c10::Error& error) {
    if (const auto reason = runtime_.fault(stream_)) {
      runtime_.lose(index_, *reason);
      check_alive();
    }
    if (says_out_of_memory(error.what_without_backtrace())) return 0;
    throw;
  }
}

void DeviceStream::retry(const std::function<void()>& work) {
  runtime_.empty_cache();
  if (const auto requested = attempt(work)) throw DeviceMemoryError(name(), *requested, runtime_.memory(index_));
}

void DeviceStream::check_alive() {
  const auto reason = runtime_.lost(index_);
  if (!reason) return;
  throw Error("ERR_CUDA_DEVICE_LOST", name() + " has failed (" + *reason +
                                          ") and does no more work in this process: start it again. The CPU and other "
                                          "devices go on");
}

std::unique_ptr<DeviceGraph> DeviceStream::capture(const std::function<void()>& work) {
  if (capturer_ == nullptr) capturer_ = runtime_.capturer(index_);
  return capturer_->capture(work);
}

void DeviceStream::add_cache(DeviceCache* cache) {
  std::lock_guard lock(mutex_);
  caches_.insert(cache);
}

void DeviceStream::remove_cache(DeviceCache* cache) {
  std::lock_guard lock(mutex_);
  caches_.erase(cache);
}

void DeviceStream::drop_caches() {
  std::lock_guard lock(mutex_);
  for (DeviceCache* cache : caches_) cache->drop();
}

std::shared_ptr<DeviceStream> DeviceStreams::on(c10::Device device) {
  if (!device.is_cuda() || runtime_ == nullptr) return nullptr;
  const int wanted = std::max<int>(device.index(), 0);
  std::lock_guard lock(mutex_);
  for (const auto& stream : streams_) {
    if (stream->index() == wanted) return stream;
  }
  streams_.push_back(std::make_shared<DeviceStream>(*runtime_, wanted));
  streams_.back()->make_current();
  return streams_.back();
}

void DeviceStreams::make_current() const {
  std::lock_guard lock(mutex_);
  for (const auto& stream : streams_) stream->make_current();
}

std::vector<std::shared_ptr<DeviceStream>> DeviceStreams::all() const {
  std::lock_guard lock(mutex_);
  return streams_;
}

c10::Device choose_device(const std::string& name, std::optional<int> count) {
  const c10::Device device(name);
  if (!device.is_cuda()) return device;
  if (!count) throw Error::argument("ERR_DEVICE", "device", "a device that this libtorch supports (cpu)", name);
  if (*count == 0) {
    throw Error::argument("ERR_DEVICE", "device", "cpu (libtorch has CUDA, but finds no GPU or no driver)", name);
  }
  if (device.index() >= *count) {
    const std::string there =
        *count == 1 ? "cuda:0, the one GPU there is"
                    : "one of the " + std::to_string(*count) + " GPUs cuda:0 to cuda:" + std::to_string(*count - 1);
    throw Error::argument("ERR_DEVICE", "device", there, name);
  }
  return {c10::kCUDA, std::max<c10::DeviceIndex>(device.index(), 0)};
}

}  // namespace freqfusion::node
