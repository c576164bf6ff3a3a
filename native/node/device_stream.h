#pragma once

#include <c10/core/Device.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "native/modules/error.h"
#include "native/node/device_runtime.h"

namespace freqfusion::node {

// ERR_CUDA_OUT_OF_MEMORY, with the message's bytes as numbers.
class DeviceMemoryError : public Error {
 public:
  DeviceMemoryError(const std::string& device, int64_t requested, const DeviceMemory& memory);

  int64_t requested() const { return requested_; }  // 0: a library asked, and does not say for how much
  int64_t free() const { return free_; }
  int64_t reserved() const { return reserved_; }

 private:
  int64_t requested_, free_, reserved_;
};

// Whether an error's words say that the device has no memory left: cuDNN, cuBLAS and CUDA itself allocate beside
// libtorch's allocator.
bool says_out_of_memory(const std::string& message);

// Something that holds device memory and can do without it.
class DeviceCache {
 public:
  virtual ~DeviceCache() = default;
  virtual void drop() = 0;
};

// One environment's stream on one GPU, and what happens when work on it fails.
//
// Every thread of the environment has it as its current stream on that device (DeviceStreams::make_current), so all of
// the environment's memory on the device is allocated, used and freed in the order of this one stream: nothing need be
// recorded on a second one (record_stream), and results are ordered without anyone waiting.
class DeviceStream {
 public:
  DeviceStream(DeviceRuntime& runtime, int index);

  // Where its tensors are.
  c10::Device device() const { return stream_.device(); }
  int index() const { return index_; }
  std::string name() const { return "cuda:" + std::to_string(index_); }
  DeviceRuntime& runtime() const { return runtime_; }
  c10::Stream stream() const { return stream_; }
  void make_current() const { runtime_.set_stream(stream_); }

  // Runs work that puts kernels on the stream; it must be a function of its inputs. Where it runs out of the device's
  // memory, caches are dropped and it runs once more: ERR_CUDA_OUT_OF_MEMORY after that. Where the device has died,
  // now or before: ERR_CUDA_DEVICE_LOST. Everything else that it throws is passed on.
  void run(const std::function<void()>& work);
  // The same on the JavaScript thread, which must leave to the queue's thread what that may be using: of the caches
  // only the allocator's are dropped.
  void run_beside_queue(const std::function<void()>& work);
  // Runs work that waits for the device, on any thread.
  void finish(const std::function<void()>& work);

  std::unique_ptr<DeviceEvent> record(bool timed = false) { return runtime_.record(stream_, timed); }
  std::unique_ptr<DeviceGraph> capture(const std::function<void()>& work);

  // What run() drops. A cache takes itself out before it is destroyed.
  void add_cache(DeviceCache* cache);
  void remove_cache(DeviceCache* cache);

  std::atomic<int64_t> graphs{0};  // that live in caches

 private:
  std::optional<int64_t> attempt(const std::function<void()>& work);
  void retry(const std::function<void()>& work);
  void drop_caches();
  void check_alive();

  DeviceRuntime& runtime_;
  int index_;
  c10::Stream stream_;
  std::mutex mutex_;
  std::set<DeviceCache*> caches_;
  std::unique_ptr<DeviceCapturer> capturer_;  // the queue's thread's
};

// The streams of one environment, each taken when its device is first used.
class DeviceStreams {
 public:
  explicit DeviceStreams(DeviceRuntime* runtime = device_runtime()) : runtime_(runtime) {}

  // Null for the CPU. JavaScript thread only, whose current stream a new one becomes at once. Where a GPU cannot be
  // set up: ERR_DEVICE, ERR_CUDA_OUT_OF_MEMORY, ERR_CUDA_DEVICE_LOST.
  std::shared_ptr<DeviceStream> on(c10::Device device);
  // Gives the calling thread all of them as its current streams.
  void make_current() const;
  std::vector<std::shared_ptr<DeviceStream>> all() const;

 private:
  DeviceRuntime* runtime_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<DeviceStream>> streams_;
};

// "cpu", "cuda" or "cuda:N" (N without leading zeros) as a device that is there, or ERR_DEVICE. `count` is that of the
// CUDA devices; nullopt: this build has no CUDA.
c10::Device choose_device(const std::string& name, std::optional<int> count);

}  // namespace freqfusion::node
