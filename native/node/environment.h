#pragma once

#include <c10/core/Device.h>
#include <napi.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "native/node/queue.h"

namespace freqfusion::node {

// What handles and borrowed memory report to. Shared, because a tensor's memory can outlive its environment's turn:
// its deleter may run on a queue thread.
struct Ledger {
  std::atomic<int64_t> live_tensors{0};
  std::atomic<int64_t> live_modules{0};
  std::atomic<int64_t> tensor_bytes{0};

  // References on JavaScript buffers that native tensors borrowed; only the JavaScript thread may delete them.
  void release_later(napi_ref reference);
  std::vector<napi_ref> take_released();

 private:
  std::mutex mutex_;
  std::vector<napi_ref> released_;
};

// Everything that belongs to one JavaScript environment (the main thread or one worker). There is no other state:
// no static references, so that workers can come and go.
class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();

  static Environment& of(Napi::Env env);

  const std::shared_ptr<Ledger>& ledger() const { return ledger_; }
  JobDelivery& delivery() { return *delivery_; }

  // The queue of a device, started at its first job.
  Queue& queue(c10::Device device);
  // This environment's stream on a GPU, taken when it is first needed; null for the CPU. Whatever names a device in
  // a call comes here before any work on it.
  std::shared_ptr<DeviceStream> stream(c10::Device device) { return streams_->on(device); }
  // Runs work of this, the JavaScript thread on a device's stream; it goes on while the device works.
  void run_on(c10::Device device, const std::function<void()>& work);
  // Gives what the allocators of the GPUs in use hold free back to the system.
  void empty_device_caches();
  // Takes a queued job out and rejects its promise with ERR_ABORTED; false where it already runs or has ended.
  bool cancel(uint32_t job, Napi::Env env);

  void set_threads(int threads) { *threads_ = threads; }
  int threads() const { return *threads_; }

  // Deletes references on borrowed buffers whose tensors are gone. JavaScript thread only.
  void drain(napi_env env);
  // Drops what is queued and waits for what runs; later jobs are refused. Called by the environment's clean-up hook,
  // and from JavaScript on process.exit(), which runs no such hook: libtorch's static objects must not be destroyed
  // beneath a running job.
  void shutdown();

 private:
  std::shared_ptr<Ledger> ledger_ = std::make_shared<Ledger>();
  std::shared_ptr<std::atomic<int>> threads_ = std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<DeviceStreams> streams_ = std::make_shared<DeviceStreams>();
  std::unique_ptr<JobDelivery> delivery_;
  std::map<std::pair<int, int>, std::unique_ptr<Queue>> queues_;
  bool ended_ = false;
};

}  // namespace freqfusion::node
