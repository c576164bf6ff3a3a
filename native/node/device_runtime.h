#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace freqfusion::node {

// Bytes of one device.
struct DeviceMemory {
  int64_t allocated = 0;  // in tensors
  int64_t reserved = 0;   // that the caching allocator holds, tensors included
  int64_t peak = 0;       // of `allocated`, since the start or the last reset_peak
  int64_t free = 0;       // that the driver could still give to this process
  int64_t total = 0;      // of the device
};

// A mark in a stream.
class DeviceEvent {
 public:
  virtual ~DeviceEvent() = default;
  // Blocks the calling thread until the device has passed it; throws what the device failed with.
  virtual void wait() = 0;
  // Both events were recorded with timing, and the device has passed them.
  virtual double milliseconds_since(const DeviceEvent& earlier) const = 0;
};

// Captured work. It reads and writes the memory that it was captured on.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  // Puts the work on the calling thread's current stream.
  virtual void replay() = 0;
};

// Captures work on a stream of its own, so that whoever uses the device meanwhile is no part of it. Graphs of one
// capturer share the memory of their intermediate results: they must be replayed on one stream.
class DeviceCapturer {
 public:
  virtual ~DeviceCapturer() = default;
  // Runs `work` without computing anything. Throws what it throws, and where it cannot be captured.
  virtual std::unique_ptr<DeviceGraph> capture(const std::function<void()>& work) = 0;
};

// What the addon asks of its GPUs. native/node/cuda/runtime.cc answers with CUDA; the tests of the policy, which is
// everything else (device_stream, graph_cache, queue), with a device that they make up.
class DeviceRuntime {
 public:
  virtual ~DeviceRuntime() = default;

  virtual int count() = 0;
  virtual c10::Stream new_stream(int index) = 0;
  // The calling thread's current stream on the stream's device.
  virtual void set_stream(c10::Stream stream) = 0;
  // The calling thread's current device.
  virtual void set_device(int index) = 0;
  virtual std::unique_ptr<DeviceEvent> record(c10::Stream stream, bool timed) = 0;
  virtual std::unique_ptr<DeviceCapturer> capturer(int index) = 0;
  // A tensor on the CPU of this one's shape and dtype in page-locked memory, which the device copies to and from
  // without the CPU's help.
  virtual at::Tensor pinned_like(const at::Tensor& tensor) = 0;

  virtual DeviceMemory memory(int index) = 0;
  virtual void reset_peak(int index) = 0;
  // Gives what the allocators of all devices and of pinned memory hold free back to the system.
  virtual void empty_cache() = 0;
  // Bytes of the allocation that failed last on the calling thread, once.
  virtual std::optional<int64_t> take_failed_allocation() = 0;
  // What a device died of: nothing while it answers.
  virtual std::optional<std::string> fault(c10::Stream stream) noexcept = 0;

  // Devices that died. A CUDA context that has failed once fails for ever, for the whole process.
  void lose(int index, const std::string& reason);
  std::optional<std::string> lost(int index);

 private:
  std::mutex mutex_;
  std::map<int, std::string> lost_;
};

// The process's GPUs, or null where the addon was built without CUDA.
DeviceRuntime* device_runtime();

}  // namespace freqfusion::node
