#include "native/node/runtime.h"

#include <ATen/Context.h>
#include <ATen/Version.h>

#include <cstdlib>
#include <string>
#include <string_view>

#if __has_include(<torch/headeronly/version.h>)
#include <torch/headeronly/version.h>
#else
#include <torch/version.h>
#endif

#include "native/modules/registry.h"
#include "native/node/allocator.h"
#include "native/node/jobs.h"
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
  DeviceRuntime* gpus = device_runtime();
  result.Set("cuda", gpus != nullptr);
  result.Set("cudaDevices", gpus != nullptr ? gpus->count() : 0);
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

// The GPU that the first argument names, with this environment's stream on it; ERR_DEVICE for the CPU.
std::shared_ptr<DeviceStream> gpu(const Napi::CallbackInfo& info) {
  const auto stream = Environment::of(info.Env()).stream(parse_device(info[0]));
  if (stream == nullptr) throw Error::argument("ERR_DEVICE", "device", "a CUDA device", info[0].ToString());
  return stream;
}

Napi::Value device_memory(const Napi::CallbackInfo& info) {
  const auto stream = gpu(info);
  DeviceMemory memory;
  stream->run_beside_queue([&] { memory = stream->runtime().memory(stream->index()); });
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("allocatedBytes", static_cast<double>(memory.allocated));
  result.Set("reservedBytes", static_cast<double>(memory.reserved));
  result.Set("peakBytes", static_cast<double>(memory.peak));
  result.Set("freeBytes", static_cast<double>(memory.free));
  result.Set("totalBytes", static_cast<double>(memory.total));
  result.Set("graphs", static_cast<double>(stream->graphs));
  return result;
}

Napi::Value reset_peak_memory(const Napi::CallbackInfo& info) {
  const auto stream = gpu(info);
  stream->run_beside_queue([&] { stream->runtime().reset_peak(stream->index()); });
  return info.Env().Undefined();
}

Napi::Value empty_cache(const Napi::CallbackInfo& info) {
  empty_allocator_cache();
  Environment::of(info.Env()).empty_device_caches();
  return info.Env().Undefined();
}

// synchronize(device): resolves when everything that was started on the device before has been done.
Napi::Value synchronize(const Napi::CallbackInfo& info) {
  const c10::Device device = parse_device(info[0]);
  const auto stream = Environment::of(info.Env()).stream(device);
  const auto mark = std::make_shared<std::unique_ptr<DeviceEvent>>();
  std::function<void()> execute = [] {}, complete;
  if (stream != nullptr) {
    execute = [stream, mark] { *mark = stream->record(); };
    complete = [mark] { (*mark)->wait(); };
  }
  return submit(
      info, info.Env().Undefined(), device, std::move(execute), [](Napi::Env env) { return env.Undefined(); },
      std::move(complete));
}

Napi::Value set_threads(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).set_threads(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

Napi::Value get_threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), Environment::of(info.Env()).threads());
}

// Every device's generator as well.
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

void choose_float32_precision() {
  const char* wanted = std::getenv("FREQFUSION_TF32");
  const bool tf32 = wanted != nullptr && std::string_view(wanted) == "1";
  at::globalContext().setAllowTF32CuDNN(tf32);
  at::globalContext().setAllowTF32CuBLAS(tf32);
}

void export_runtime(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("info", boundary<info>);
  add("memory", boundary<memory>);
  add("deviceMemory", boundary<device_memory>);
  add("resetPeakMemory", boundary<reset_peak_memory>);
  add("synchronize", boundary<synchronize>);
  add("emptyCache", boundary<empty_cache>);
  add("setThreads", boundary<set_threads>);
  add("getThreads", boundary<get_threads>);
  add("setSeed", boundary<set_seed>);
}

}  // namespace freqfusion::node
