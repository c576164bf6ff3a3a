#include "native/node/environment.h"

#include <ATen/Parallel.h>

#include "native/node/errors.h"

namespace freqfusion::node {

void Ledger::release_later(napi_ref reference) {
  std::lock_guard lock(mutex_);
  released_.push_back(reference);
}

std::vector<napi_ref> Ledger::take_released() {
  std::lock_guard lock(mutex_);
  return std::exchange(released_, {});
}

Environment::Environment(Napi::Env env) : delivery_(std::make_unique<JobDelivery>(env)) {
  *threads_ = at::get_num_threads();
}

Environment::~Environment() { shutdown(); }

Environment& Environment::of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

Queue& Environment::queue(c10::Device device) {
  if (ended_) throw Error("ERR_ABORTED", "the environment is ending: no job starts any more");
  // CPU tensors carry index -1 or 0: one queue for both.
  const int index = device.is_cpu() ? 0 : std::max<int>(device.index(), 0);
  auto& slot = queues_[{static_cast<int>(device.type()), index}];
  if (!slot) slot = std::make_unique<Queue>(*delivery_, threads_, streams_, stream(device));
  return *slot;
}

void Environment::run_on(c10::Device device, const std::function<void()>& work) {
  if (const auto on = stream(device)) {
    on->run_beside_queue(work);
  } else {
    work();
  }
}

void Environment::empty_device_caches() {
  const auto streams = streams_->all();
  if (streams.empty()) return;
  // It goes over all devices: each asks whether what failed was its own.
  std::function<void()> work = [&] { streams.front()->runtime().empty_cache(); };
  for (const auto& stream : streams) work = [stream, inner = std::move(work)] { stream->run_beside_queue(inner); };
  work();
}

bool Environment::cancel(uint32_t job, Napi::Env env) {
  for (auto& [device, queue] : queues_) {
    if (auto taken = queue->take(job)) {
      taken->failure = std::make_exception_ptr(Error("ERR_ABORTED", "the job was cancelled before it started"));
      delivery_->settle(env, std::move(taken));
      return true;
    }
  }
  return false;
}

void Environment::drain(napi_env env) {
  for (napi_ref reference : ledger_->take_released()) napi_delete_reference(env, reference);
}

void Environment::shutdown() {
  ended_ = true;
  queues_.clear();
}

}  // namespace freqfusion::node
