#include "native/node/modules.h"

#include <atomic>
#include <mutex>
#include <optional>

#include "native/modules/registry.h"
#include "native/node/graph_cache.h"
#include "native/node/jobs.h"
#include "native/node/options.h"

namespace freqfusion::node {
namespace {

// A module, where it is, and the lock on its list of tensors. Jobs of one device never overlap, so the lock only keeps
// the JavaScript thread from reading names and shapes while a job swaps the tensors (moduleTo).
struct SharedModule {
  std::unique_ptr<Module> module;
  GraphCache graphs;  // the queue's thread's; it reads the module's weights
  std::mutex tensors_mutex;
  std::atomic<c10::Device> device{c10::Device(c10::kCPU)};  // the CPU for ever where it has no tensors

  void to(std::optional<c10::Device> target, std::optional<at::ScalarType> dtype) {
    std::lock_guard lock(tensors_mutex);
    module->to(target, dtype);
    const auto state = module->state();
    if (!state.empty()) device = state.front().value->device();
  }
};

struct ModuleBox {
  static constexpr napi_type_tag tag = {0x52d7c40be9164fa3, 0xa4b1907f36e8d25c};
  static constexpr const char* what = "module";

  std::shared_ptr<SharedModule> shared;
  std::shared_ptr<Ledger> ledger;

  void on_release(napi_env) { ledger->live_modules -= 1; }
};

std::shared_ptr<SharedModule> shared_of(const Napi::Value& value) { return Handle<ModuleBox>::get(value).shared; }

Napi::Value create(const Napi::CallbackInfo& info) {
  auto shared = std::make_shared<SharedModule>();
  shared->module = make_module(info[0].ToString(), parse_options(info[1]));
  auto box = std::make_unique<ModuleBox>();
  box->shared = std::move(shared);
  box->ledger = Environment::of(info.Env()).ledger();
  box->ledger->live_modules += 1;
  return Handle<ModuleBox>::wrap(info.Env(), std::move(box));
}

Napi::Value dispose(const Napi::CallbackInfo& info) {
  Handle<ModuleBox>::of(info[0]).release(info.Env());
  return info.Env().Undefined();
}

Napi::Value state(const Napi::CallbackInfo& info) {
  const auto shared = shared_of(info[0]);
  std::lock_guard lock(shared->tensors_mutex);
  const auto entries = shared->module->state();
  Napi::Array list = Napi::Array::New(info.Env(), entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    Napi::Object entry = Napi::Object::New(info.Env());
    entry.Set("name", entries[i].name);
    entry.Set("dtype", dtype_name(entries[i].value->scalar_type()));
    entry.Set("shape", to_array(info.Env(), entries[i].value->sizes()));
    entry.Set("kind", entries[i].kind == StateKind::parameter ? "parameter" : "buffer");
    list.Set(i, entry);
  }
  return list;
}

Napi::Value get(const Napi::CallbackInfo& info) {
  const auto shared = shared_of(info[0]);
  const std::string name = info[1].ToString();
  std::lock_guard lock(shared->tensors_mutex);
  for (const StateEntry& entry : shared->module->state()) {
    if (entry.name == name) return wrap_tensor(info.Env(), entry.value->alias());
  }
  throw Error::argument("ERR_STATE_KEY", "name", "a name of the module's state", name);
}

Napi::Value load(const Napi::CallbackInfo& info) {
  const auto shared = shared_of(info[0]);
  const auto names = info[1].As<Napi::Array>();
  const auto values = info[2].As<Napi::Array>();
  NamedTensors tensors;
  for (uint32_t i = 0; i < names.Length(); ++i) {
    tensors.add(names.Get(i).ToString(), unwrap_tensor(values.Get(i)));
  }
  return submit(
      info, info.Env().Undefined(), shared->device.load(),
      [shared, tensors = std::move(tensors)] {
        shared->graphs.drop();
        shared->module->load(tensors);
      },
      [](Napi::Env env) { return env.Undefined(); });
}

Napi::Value initialize(const Napi::CallbackInfo& info) {
  const auto shared = shared_of(info[0]);
  const auto seed = static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
  return submit(
      info, info.Env().Undefined(), shared->device.load(),
      [shared, seed] {
        shared->graphs.drop();
        shared->module->initialize(seed);
      },
      [](Napi::Env env) { return env.Undefined(); });
}

Napi::Value convert(const Napi::CallbackInfo& info) {
  const auto shared = shared_of(info[0]);
  std::optional<at::ScalarType> dtype;
  std::optional<c10::Device> device;
  if (!info[1].IsNull()) dtype = parse_dtype(info[1]);
  if (!info[2].IsNull()) device = parse_device(info[2]);
  // What moves to a GPU is allocated in the order of its stream, and fails as work there fails; the queue is that of
  // the device it leaves.
  const auto target = device ? Environment::of(info.Env()).stream(*device) : nullptr;
  return submit(
      info, info.Env().Undefined(), shared->device.load(),
      [shared, dtype, device, target] {
        shared->graphs.drop();
        const auto move = [&] { shared->to(device, dtype); };
        if (target != nullptr && *device != shared->device.load()) {
          target->run_beside_queue(move);
        } else {
          move();
        }
      },
      [](Napi::Env env) { return env.Undefined(); });
}

// Options as text, for the kinds of captured graphs.
std::string to_json(const Napi::Value& value) {
  const auto json = value.Env().Global().Get("JSON").As<Napi::Object>();
  return json.Get("stringify").As<Napi::Function>().Call(json, {value}).ToString();
}

// The whole method as one graph, or, where it has work on the CPU, each of its networks.
NamedTensors run_with_graphs(SharedModule& shared, const std::shared_ptr<DeviceStream>& stream, int64_t capacity,
                             const std::string& method, const std::string& kind, const NamedTensors& inputs,
                             const Options& options) {
  GraphRunner runner(shared.graphs, stream, capacity);
  if (shared.module->has_host_work(method)) {
    const NetworkRunnerScope scope(runner);
    return shared.module->run(method, inputs, options);
  }
  return runner.run(kind, inputs,
                    [&](const NamedTensors& given) { return shared.module->run(method, given, options); });
}

Napi::Value run(const Napi::CallbackInfo& info) {
  ModuleRun parsed = parse_module_run(info, info[5]);
  return submit_tensors(info, info[4], parsed.device, std::move(parsed.work));
}

}  // namespace

ModuleRun parse_module_run(const Napi::CallbackInfo& info, const Napi::Value& graphs) {
  const auto shared = shared_of(info[0]);
  const std::string method = info[1].ToString();
  const Options options = parse_options(info[3]);
  NamedTensors inputs = unwrap_tensors(info[2]);
  const c10::Device device = shared->device.load();
  const int64_t capacity = graphs.IsNumber() ? graphs.As<Napi::Number>().Int64Value() : 0;
  if (capacity == 0) {
    return {device, [shared, method, options, inputs = std::move(inputs)] {
              return shared->module->run(method, inputs, options);
            }};
  }
  const auto stream = Environment::of(info.Env()).stream(device);
  if (stream == nullptr) {
    throw Error::argument("ERR_DEVICE", "cudaGraph", "a module on a CUDA device", device.str());
  }
  return {device,
          [shared, stream, capacity, method, kind = method + to_json(info[3]), options, inputs = std::move(inputs)] {
            // A move that was started after this run was asked for may have come before it.
            if (shared->device.load() != stream->device()) return shared->module->run(method, inputs, options);
            return run_with_graphs(*shared, stream, capacity, method, kind, inputs, options);
          }};
}

void export_modules(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("moduleCreate", boundary<create>);
  add("moduleDispose", boundary<dispose>);
  add("moduleState", boundary<state>);
  add("moduleGet", boundary<get>);
  add("moduleLoad", boundary<load>);
  add("moduleInitialize", boundary<initialize>);
  add("moduleTo", boundary<convert>);
  add("moduleRun", boundary<run>);
}

}  // namespace freqfusion::node
