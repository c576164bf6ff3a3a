#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "native/node/device_stream.h"

namespace freqfusion::node {

// One piece of work and the promise that waits for it.
struct Job {
  explicit Job(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}

  uint32_t id = 0;                               // what cancelJob takes; 0: not cancellable
  std::function<void()> execute;                 // on the queue's thread
  std::function<void()> complete;                // waits for the device, beside the queue; null where nothing waits
  std::function<Napi::Value(Napi::Env)> result;  // on the JavaScript thread
  Napi::Promise::Deferred deferred;
  std::exception_ptr failure;
};

// Brings finished jobs back to the JavaScript thread, and keeps the process alive while any is on its way.
class JobDelivery {
 public:
  explicit JobDelivery(Napi::Env env);
  JobDelivery(const JobDelivery&) = delete;

  void expect(napi_env env);                             // JavaScript thread: one more job is under way
  void finished(std::unique_ptr<Job> job);               // any thread
  void settle(Napi::Env env, std::unique_ptr<Job> job);  // JavaScript thread: resolves or rejects
  int64_t pending() const { return pending_; }

 private:
  static void on_finished(napi_env env, napi_value callback, void* context, void* data);

  napi_threadsafe_function function_ = nullptr;
  int64_t pending_ = 0;
};

// Takes jobs whose work is under way on a device, waits for each in turn, and delivers it: the queue's own thread goes
// on to the next job meanwhile.
class Waiter {
 public:
  Waiter(JobDelivery& delivery, DeviceStream* device);
  ~Waiter();
  void push(std::unique_ptr<Job> job);

 private:
  void loop();

  JobDelivery& delivery_;
  DeviceStream* device_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

// Runs jobs one after another on a thread of its own: libuv's pool stays free, and each job gets all the intra-op
// threads. Its destructor drops what is queued and waits for what runs.
//
// On a GPU a job runs when its kernels are in the device's stream, so its promise resolves and the next job starts
// while the device works; only a job with something to `complete` is waited for.
class Queue {
 public:
  // `device` is null for the CPU.
  Queue(JobDelivery& delivery, std::shared_ptr<std::atomic<int>> threads, std::shared_ptr<DeviceStreams> streams,
        std::shared_ptr<DeviceStream> device);
  ~Queue();

  void push(std::unique_ptr<Job> job);
  std::unique_ptr<Job> take(uint32_t id);

 private:
  void loop();
  void run(Job& job);
  void end(std::unique_ptr<Job> job);

  JobDelivery& delivery_;
  std::shared_ptr<std::atomic<int>> threads_;
  std::shared_ptr<DeviceStreams> streams_;
  std::shared_ptr<DeviceStream> device_;
  std::unique_ptr<Waiter> waiter_;  // the queue's thread's, until it has ended
  int applied_threads_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace freqfusion::node
