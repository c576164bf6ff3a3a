#include "native/node/device_stream.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <string_view>

namespace freqfusion::node {
namespace {

std::string name_of(int index) { return "cuda:" + std::to_string(index); }

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

// The N of "cuda:N", 0 of "cuda". libtorch's own reading lets any number wrap to eight bits.
int gpu_of(const std::string& name) {
  constexpr std::string_view start = "cuda:";
  if (name == "cuda") return 0;
  int index = -1;
  if (name.rfind(start, 0) == 0) {
    const char *digits = name.data() + start.size(), *end = name.data() + name.size();
    const auto [stop, failure] = std::from_chars(digits, end, index);
    const bool number = stop == end && end > digits && (end - digits == 1 ? *digits >= '0' : *digits > '0');
    if (failure == std::errc::result_out_of_range && number) return std::numeric_limits<int>::max();
    if (failure != std::errc() || !number) index = -1;
  }
  if (index < 0) throw Error::argument("ERR_DEVICE", "device", "cpu, cuda or cuda:N", name);
  return index;
}

Error lost_error(int index, const std::string& reason) {
  return Error("ERR_CUDA_DEVICE_LOST", name_of(index) + " has failed (" + reason +
                                           ") and does no more work in this process: start it again. The CPU and other "
                                           "devices go on");
}

DeviceMemory memory_if_known(DeviceRuntime& runtime, int index) {
  try {
    return runtime.memory(index);
  } catch (const c10::Error&) {
    return {};
  }
}

// The stream, and with it all that CUDA sets up on a device at its first use.
std::shared_ptr<DeviceStream> open_stream(DeviceRuntime& runtime, int index) {
  if (const auto reason = runtime.lost(index)) throw lost_error(index, *reason);
  try {
    auto stream = std::make_shared<DeviceStream>(runtime, index);
    stream->make_current();
    return stream;
  } catch (const c10::Error& error) {
    const std::string words = error.what_without_backtrace();
    if (says_out_of_memory(words)) throw DeviceMemoryError(name_of(index), 0, memory_if_known(runtime, index));
    throw Error::argument("ERR_DEVICE", "device", "a GPU that can be used",
                          name_of(index) + " (" + words.substr(0, words.find('\n')) + ')');
  }
}

}  // namespace

bool says_out_of_memory(const std::string& message) {
  for (const char* words : {"CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"}) {
    if (message.find(words) != std::string::npos) return true;
  }
  return false;
}

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
  throw lost_error(index_, *reason);
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
  return streams_.emplace_back(open_stream(*runtime_, wanted));
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
  if (name == "cpu") return c10::kCPU;
  const int index = gpu_of(name);
  if (!count) throw Error::argument("ERR_DEVICE", "device", "a device that this libtorch supports (cpu)", name);
  if (*count == 0) {
    throw Error::argument("ERR_DEVICE", "device", "cpu (libtorch has CUDA, but finds no GPU or no driver)", name);
  }
  if (index >= *count) {
    const std::string there =
        *count == 1 ? "cuda:0, the one GPU there is"
                    : "one of the " + std::to_string(*count) + " GPUs cuda:0 to cuda:" + std::to_string(*count - 1);
    throw Error::argument("ERR_DEVICE", "device", there, name);
  }
  return {c10::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

}  // namespace freqfusion::node
