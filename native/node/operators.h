#pragma once

#include <napi.h>

#include <functional>

#include "native/node/tensors.h"

namespace freqfusion::node {

// One run of an operator, to be called on the queue of `device`, any number of times.
struct OperatorRun {
  c10::Device device;
  std::function<NamedTensors()> work;
};

// Of runOperator's first arguments: name, inputs, options.
OperatorRun parse_operator_run(const Napi::CallbackInfo& info);

void export_operators(Napi::Env env, Napi::Object exports);

}  // namespace freqfusion::node
