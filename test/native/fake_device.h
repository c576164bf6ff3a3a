#pragma once

// A GPU that the tests make up: its tensors are on the CPU, its streams do at once what is put into them, and it fails
// when it is told to.

#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "native/node/device_runtime.h"

namespace freqfusion::node {

class FakeDevice final : public DeviceRuntime {
 public:
  int devices = 2;
  int emptied = 0, captured = 0, replayed = 0, waited = 0;
  std::map<int, std::string> faults;              // what a device has died of
  std::optional<int64_t> failed;                  // the allocation that failed last
  std::chrono::milliseconds wait_time{0};         // of an event
  std::vector<std::pair<int, int>> made_current;  // device, stream
  std::function<void()> on_record, on_capture, on_empty, on_new_stream;
  std::function<void(int)> on_set_device;

  // What libtorch throws where an allocation on the device fails.
  void run_out_of_memory(int64_t bytes) {
    failed = bytes;
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate ", bytes, " bytes");
  }
  // What a call on a device says that has died.
  [[noreturn]] void die(int index, const std::string& reason) {
    faults[index] = reason;
    throw c10::Error({__func__, __FILE__, __LINE__}, "CUDA error: " + reason);
  }

  int count() override { return devices; }
  c10::Stream new_stream(int index) override {
    if (on_new_stream) on_new_stream();
    const int64_t id = ++streams_;
    indices_[id] = index;
    return c10::Stream(c10::Stream::UNSAFE, c10::Device(c10::kCPU), id);
  }
  void set_stream(c10::Stream stream) override {
    made_current.emplace_back(indices_.at(stream.id()), static_cast<int>(stream.id()));
  }
  void set_device(int index) override {
    if (on_set_device) on_set_device(index);
  }
  std::unique_ptr<DeviceEvent> record(c10::Stream stream, bool) override {
    if (on_record) on_record();
    return std::make_unique<Event>(*this, indices_.at(stream.id()));
  }
  std::unique_ptr<DeviceCapturer> capturer(int) override { return std::make_unique<Capturer>(*this); }
  at::Tensor pinned_like(const at::Tensor& tensor) override;

  DeviceMemory memory(int) override { return {300, 400, 500, 600, 700}; }
  void reset_peak(int) override {}
  void empty_cache() override {
    emptied += 1;
    if (on_empty) on_empty();
  }
  std::optional<int64_t> take_failed_allocation() override { return std::exchange(failed, std::nullopt); }
  std::optional<std::string> fault(c10::Stream stream) noexcept override {
    const auto found = faults.find(indices_.at(stream.id()));
    return found == faults.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  class Event final : public DeviceEvent {
   public:
    Event(FakeDevice& device, int index) : device_(device), index_(index) {}
    void wait() override {
      std::this_thread::sleep_for(device_.wait_time);
      device_.waited += 1;
      const auto fault = device_.faults.find(index_);
      if (fault != device_.faults.end()) device_.die(index_, fault->second);
    }
    double milliseconds_since(const DeviceEvent&) const override { return 1.5; }

   private:
    FakeDevice& device_;
    int index_;
  };

  // Captures by running the work, and replays by running it again.
  class Graph final : public DeviceGraph {
   public:
    Graph(FakeDevice& device, std::function<void()> work) : device_(device), work_(std::move(work)) {}
    void replay() override {
      device_.replayed += 1;
      work_();
    }

   private:
    FakeDevice& device_;
    std::function<void()> work_;
  };
  class Capturer final : public DeviceCapturer {
   public:
    explicit Capturer(FakeDevice& device) : device_(device) {}
    std::unique_ptr<DeviceGraph> capture(const std::function<void()>& work) override {
      if (device_.on_capture) device_.on_capture();
      device_.captured += 1;
      work();
      return std::make_unique<Graph>(device_, work);
    }

   private:
    FakeDevice& device_;
  };

  int64_t streams_ = 0;
  std::map<int64_t, int> indices_;
};

}  // namespace freqfusion::node
