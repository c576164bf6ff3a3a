#include "native/node/runtime.h"

#include <ATen/Context.h>
#include <ATen/Version.h>

#include <string>

#if __has_include(<torch/headeronly/version.h>)
#include <torch/headeronly/version.h>
#else
#include <torch/version.h>
#endif

#include "native/modules/registry.h"
#include "native/node/allocator.h"
#include "native/node/tensors.h"
#include "native/ops/cpu/isa.h"

namespace freqfusion::node {
namespace {

std::string torch_version() {
  const std::string config = at::show_config();
  const std::string key = "TORCH_VERSION=";
  const size_t start = config.find(key);
  if (start == std::string::npos) return "unknown";
  const size_t from = start + key.size();
  return config.substr(from, config.find_first_of(", \n", from) - from);
}

Napi::Value info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  result.Set("torch", torch_version());
  result.Set("cuda", at::hasCUDA());
  result.Set("cudaDevices", at::hasCUDA() ? static_cast<int>(at::getNumGPUs()) : 0);
  result.Set("cpuCapability", cpu::isa_name(cpu::chosen_isa()));
  const auto kinds = module_kinds();
  Napi::Array list = Napi::Array::New(env, kinds.size());
  for (size_t i = 0; i < kinds.size(); ++i) list.Set(i, kinds[i]);
  result.Set("moduleKinds", list);
  result.Set("napi", NAPI_VERSION);
  return result;
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  environment.drain(info.Env());
  const Ledger& ledger = *environment.ledger();
  const AllocatorStats allocator = allocator_stats();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("liveTensors", static_cast<double>(ledger.live_tensors));
  result.Set("liveModules", static_cast<double>(ledger.live_modules));
  result.Set("tensorBytes", static_cast<double>(ledger.tensor_bytes));
  result.Set("allocatedBytes", static_cast<double>(allocator.allocated_bytes));
  result.Set("cachedBytes", static_cast<double>(allocator.cached_bytes));
  result.Set("pendingJobs", static_cast<double>(environment.delivery().pending()));
  return result;
}

Napi::Value empty_cache(const Napi::CallbackInfo& info) {
  empty_allocator_cache();
  return info.Env().Undefined();
}

Napi::Value set_threads(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).set_threads(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

Napi::Value get_threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), Environment::of(info.Env()).threads());
}

Napi::Value set_seed(const Napi::CallbackInfo& info) {
  at::manual_seed(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  return info.Env().Undefined();
}

}  // namespace

void check_torch_version() {
  const std::string loaded = torch_version();
  const std::string built = std::to_string(TORCH_VERSION_MAJOR) + "." + std::to_string(TORCH_VERSION_MINOR) + "." +
                            std::to_string(TORCH_VERSION_PATCH);
  if (loaded != built && loaded != "unknown") {
    throw Error("ERR_TORCH_VERSION",
                "the addon was built against libtorch " + built + " but libtorch " + loaded +
                    " was loaded: build it again with \"npm run build:native\"",
                built, loaded);
  }
}

void export_runtime(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("info", boundary<info>);
  add("memory", boundary<memory>);
  add("emptyCache", boundary<empty_cache>);
  add("setThreads", boundary<set_threads>);
  add("getThreads", boundary<get_threads>);
  add("setSeed", boundary<set_seed>);
}

}  // namespace freqfusion::node
