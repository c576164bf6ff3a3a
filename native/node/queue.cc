#include "native/node/queue.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>

#include "native/node/allocator.h"
#include "native/node/environment.h"
#include "native/node/errors.h"

namespace freqfusion::node {

namespace {

// Longer than what a program does between two images of a series.
constexpr std::chrono::seconds kIdleAfter{2};

}  // namespace

JobDelivery::JobDelivery(Napi::Env env) {
  const napi_value name = Napi::String::New(env, "freqfusion job");
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this,
                                                             &JobDelivery::on_finished, &function_);
  if (status != napi_ok) throw Error("ERR_INTERNAL", "the job delivery could not be made");
  napi_unref_threadsafe_function(env, function_);
}

void JobDelivery::expect(napi_env env) {
  if (pending_++ == 0) napi_ref_threadsafe_function(env, function_);
}

void JobDelivery::finished(std::unique_ptr<Job> job) {
  // Fails only while the environment closes: nobody waits any more, so the job is simply dropped.
  if (napi_call_threadsafe_function(function_, job.get(), napi_tsfn_nonblocking) == napi_ok) job.release();
}

void JobDelivery::on_finished(napi_env env, napi_value, void* context, void* data) {
  std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (env == nullptr) return;
  try {
    static_cast<JobDelivery*>(context)->settle(Napi::Env(env), std::move(job));
  } catch (...) {
    // A worker that is being terminated runs no JavaScript any more: even a rejection throws. Nobody waits for it.
  }
}

void JobDelivery::settle(Napi::Env env, std::unique_ptr<Job> job) {
  if (--pending_ == 0) napi_unref_threadsafe_function(env, function_);
  Napi::HandleScope scope(env);
  Environment::of(env).drain(env);
  try {
    if (job->failure) std::rethrow_exception(job->failure);
    job->deferred.Resolve(job->result(env));
  } catch (...) {
    job->deferred.Reject(current_exception_to_js(env));
  }
}

Waiter::Waiter(JobDelivery& delivery, DeviceStream* device)
    : delivery_(delivery), device_(device), thread_([this] { loop(); }) {}

Waiter::~Waiter() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  wake_.notify_all();
  thread_.join();
}

void Waiter::push(std::unique_ptr<Job> job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Waiter::loop() {
  const c10::InferenceMode inference;
  for (;;) {
    std::unique_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    try {
      if (device_ != nullptr) {
        device_->finish(job->complete);
      } else {
        job->complete();
      }
    } catch (...) {
      job->failure = std::current_exception();
    }
    job->complete = nullptr;
    delivery_.finished(std::move(job));
  }
}

Queue::Queue(JobDelivery& delivery, std::shared_ptr<std::atomic<int>> threads, std::shared_ptr<DeviceStreams> streams,
             std::shared_ptr<DeviceStream> device)
    : delivery_(delivery),
      threads_(std::move(threads)),
      streams_(std::move(streams)),
      device_(std::move(device)),
      thread_([this] { loop(); }) {}

Queue::~Queue() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  wake_.notify_all();
  thread_.join();
}

void Queue::push(std::unique_ptr<Job> job) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

std::unique_ptr<Job> Queue::take(uint32_t id) {
  if (id == 0) return nullptr;
  std::lock_guard lock(mutex_);
  const auto found = std::find_if(jobs_.begin(), jobs_.end(), [id](const auto& job) { return job->id == id; });
  if (found == jobs_.end()) return nullptr;
  std::unique_ptr<Job> job = std::move(*found);
  jobs_.erase(found);
  return job;
}

void Queue::loop() {
  for (;;) {
    std::unique_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      const auto woken = [this] { return stopping_ || !jobs_.empty(); };
      if (!wake_.wait_for(lock, kIdleAfter, woken)) {
        lock.unlock();
        trim_allocator_cache();
        lock.lock();
        wake_.wait(lock, woken);
      }
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    run(*job);
    end(std::move(job));
  }
}

void Queue::end(std::unique_ptr<Job> job) {
  if (!job->complete || job->failure) {
    delivery_.finished(std::move(job));
    return;
  }
  if (waiter_ == nullptr) waiter_ = std::make_unique<Waiter>(delivery_, device_.get());
  waiter_->push(std::move(job));
}

void Queue::run(Job& job) {
  // Thread count, inference mode, current device and current streams are thread-local in libtorch.
  const int wanted = *threads_;
  if (wanted != applied_threads_) {
    at::set_num_threads(wanted);
    applied_threads_ = wanted;
  }
  const c10::InferenceMode inference;
  try {
    streams_->make_current();
    if (device_ != nullptr) {
      device_->run([&] {
        device_->runtime().set_device(device_->index());
        job.execute();
      });
    } else {
      job.execute();
    }
  } catch (...) {
    job.failure = std::current_exception();
  }
  // Captured tensors are freed here, not on the JavaScript thread.
  job.execute = nullptr;
}

}  // namespace freqfusion::node
