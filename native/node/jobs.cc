#include "native/node/jobs.h"

namespace freqfusion::node {

c10::Device device_of(const NamedTensors& tensors) {
  const auto& entries = tensors.entries();
  return entries.empty() ? c10::Device(c10::kCPU) : entries.front().second.device();
}

Napi::Value submit(const Napi::CallbackInfo& info, const Napi::Value& id, c10::Device device,
                   std::function<void()> execute, std::function<Napi::Value(Napi::Env)> result,
                   std::function<void()> complete) {
  Environment& environment = Environment::of(info.Env());
  auto job = std::make_unique<Job>(info.Env());
  if (id.IsNumber()) job->id = id.As<Napi::Number>().Uint32Value();
  job->execute = std::move(execute);
  job->complete = std::move(complete);
  job->result = std::move(result);
  const Napi::Promise promise = job->deferred.Promise();
  Queue& queue = environment.queue(device);
  environment.delivery().expect(info.Env());
  queue.push(std::move(job));
  return promise;
}

Napi::Value submit_tensors(const Napi::CallbackInfo& info, const Napi::Value& id, c10::Device device,
                           std::function<NamedTensors()> work) {
  auto outputs = std::make_shared<NamedTensors>();
  return submit(
      info, id, device, [work = std::move(work), outputs] { *outputs = work(); },
      [outputs](Napi::Env env) {
        const NamedTensors taken = std::move(*outputs);
        return wrap_tensors(env, taken);
      });
}

namespace {

Napi::Value cancel(const Napi::CallbackInfo& info) {
  const uint32_t id = info[0].As<Napi::Number>().Uint32Value();
  return Napi::Boolean::New(info.Env(), Environment::of(info.Env()).cancel(id, info.Env()));
}

Napi::Value shutdown(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).shutdown();
  return info.Env().Undefined();
}

}  // namespace

void export_jobs(Napi::Env env, Napi::Object exports) {
  exports.Set("shutdown", Napi::Function::New(env, boundary<shutdown>, "shutdown"));
  exports.Set("cancelJob", Napi::Function::New(env, boundary<cancel>, "cancelJob"));
}

}  // namespace freqfusion::node
