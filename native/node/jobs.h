#pragma once

#include <functional>

#include "native/node/tensors.h"

namespace freqfusion::node {

// The device of the first tensor; the CPU where there is none.
c10::Device device_of(const NamedTensors& tensors);

// Queues work and returns its promise. `id` is the JavaScript number that cancelJob takes, or undefined; `complete`
// waits for the device where the result has to.
Napi::Value submit(const Napi::CallbackInfo& info, const Napi::Value& id, c10::Device device,
                   std::function<void()> execute, std::function<Napi::Value(Napi::Env)> result,
                   std::function<void()> complete = nullptr);

// The same for work that ends in named tensors.
Napi::Value submit_tensors(const Napi::CallbackInfo& info, const Napi::Value& id, c10::Device device,
                           std::function<NamedTensors()> work);

void export_jobs(Napi::Env env, Napi::Object exports);

}  // namespace freqfusion::node
