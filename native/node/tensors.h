#pragma once

#include <ATen/core/Tensor.h>
#include <napi.h>

#include <string>
#include <vector>

#include "native/modules/module.h"
#include "native/node/handles.h"

namespace freqfusion::node {

struct TensorBox {
  static constexpr napi_type_tag tag = {0x6e1f0f5a3a6c4d21, 0x9b0d5c7e2f8a1144};
  static constexpr const char* what = "tensor";

  at::Tensor tensor;
  int64_t bytes = 0;
  std::shared_ptr<Ledger> ledger;

  void on_release(napi_env env);
};

// Wraps a tensor, counts it, and reports its memory to V8.
Napi::Value wrap_tensor(Napi::Env env, at::Tensor tensor);
const at::Tensor& unwrap_tensor(const Napi::Value& value);

// Records of tensors by name, as runOperator and moduleRun take and give them.
NamedTensors unwrap_tensors(const Napi::Value& record);
Napi::Value wrap_tensors(Napi::Env env, const NamedTensors& tensors);

at::ScalarType parse_dtype(const Napi::Value& value);
const char* dtype_name(at::ScalarType type);
c10::Device parse_device(const Napi::Value& value);
std::vector<int64_t> parse_integers(const Napi::Value& value);
Napi::Array to_array(Napi::Env env, at::IntArrayRef values);

void export_tensors(Napi::Env env, Napi::Object exports);

}  // namespace freqfusion::node
