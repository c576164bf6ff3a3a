#pragma once

#include <napi.h>

#include <functional>
#include <string>

#include "native/node/tensors.h"

namespace freqfusion::node {

// One run of a module's method, to be called on the queue of `device`, any number of times.
struct ModuleRun {
  c10::Device device;
  std::function<NamedTensors()> work;
};

// Of moduleRun's first arguments: module, method, inputs, options, and the capacity of its CUDA graphs (0: none).
ModuleRun parse_module_run(const Napi::CallbackInfo& info, const Napi::Value& graphs);

void export_modules(Napi::Env env, Napi::Object exports);

}  // namespace freqfusion::node
