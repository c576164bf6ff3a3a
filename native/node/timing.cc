#include "native/node/timing.h"

#include <ATen/ops/empty.h>

#include <chrono>
#include <memory>
#include <vector>

#include "native/node/jobs.h"
#include "native/node/modules.h"
#include "native/node/operators.h"
#include "native/node/options.h"

namespace freqfusion::node {
namespace {

using Work = std::function<NamedTensors()>;

struct Plan {
  int warmup, repeats;
  int64_t flush_bytes;  // written between two runs; 0: the caches stay as the last run left them
};

struct Samples {
  std::vector<double> milliseconds;
  int64_t base_bytes = 0, peak_bytes = 0;  // in tensors: before the first timed run, and at most during one
  // On a GPU: around each run, read when the device has passed them.
  std::vector<std::pair<std::unique_ptr<DeviceEvent>, std::unique_ptr<DeviceEvent>>> events;
};

// Pushes the work's inputs out of the last-level cache. On a GPU it also lets the CPU run ahead, so that what is timed
// does not wait for its own launches as long as they take less than the flush.
class Flush {
 public:
  Flush(int64_t bytes, c10::Device device) {
    if (bytes > 0) scratch_ = at::empty({bytes}, at::TensorOptions().dtype(at::kByte).device(device));
  }
  void operator()() {
    if (scratch_.defined()) scratch_.fill_(++value_ & 1);
  }

 private:
  at::Tensor scratch_;
  int value_ = 0;
};

void time_on_cpu(const Work& work, const Plan& plan, Samples& samples) {
  Flush flush(plan.flush_bytes, c10::kCPU);
  for (int i = 0; i < plan.repeats; ++i) {
    flush();
    const auto since = std::chrono::steady_clock::now();
    const NamedTensors outputs = work();
    samples.milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - since).count());
  }
}

void time_on_gpu(const Work& work, const Plan& plan, DeviceStream& stream, Samples& samples) {
  DeviceRuntime& runtime = stream.runtime();
  const int index = stream.index();
  Flush flush(plan.flush_bytes, stream.device());
  flush();
  runtime.reset_peak(index);
  samples.base_bytes = runtime.memory(index).allocated;
  samples.events.clear();  // of a run that ended for want of memory
  for (int i = 0; i < plan.repeats; ++i) {
    flush();
    auto start = stream.record(/*timed=*/true);
    const NamedTensors outputs = work();
    samples.events.emplace_back(std::move(start), stream.record(/*timed=*/true));
  }
  samples.peak_bytes = runtime.memory(index).peak;
}

Napi::Value submit_timing(const Napi::CallbackInfo& info, c10::Device device, Work work, const Plan& plan) {
  const auto samples = std::make_shared<Samples>();
  const auto stream = Environment::of(info.Env()).stream(device);
  auto execute = [work = std::move(work), plan, stream, samples] {
    for (int i = 0; i < plan.warmup; ++i) work();
    if (stream != nullptr) {
      time_on_gpu(work, plan, *stream, *samples);
    } else {
      time_on_cpu(work, plan, *samples);
    }
  };
  auto complete = [samples] {
    for (const auto& [start, end] : samples->events) {
      end->wait();
      samples->milliseconds.push_back(end->milliseconds_since(*start));
    }
  };
  const auto result = [samples](Napi::Env env) {
    Napi::Array times = Napi::Array::New(env, samples->milliseconds.size());
    for (size_t i = 0; i < samples->milliseconds.size(); ++i) times.Set(i, samples->milliseconds[i]);
    Napi::Object object = Napi::Object::New(env);
    object.Set("milliseconds", times);
    object.Set("baseBytes", static_cast<double>(samples->base_bytes));
    object.Set("peakBytes", static_cast<double>(samples->peak_bytes));
    return object;
  };
  return submit(info, info.Env().Undefined(), device, std::move(execute), result,
                stream == nullptr ? std::function<void()>() : complete);
}

Plan parse_plan(const Napi::Value& value) {
  const Options options = parse_options(value);
  options.reject_unknown({"warmup", "repeats", "flushBytes"});
  return {static_cast<int>(options.integer("warmup", 3)), static_cast<int>(options.integer("repeats", 20)),
          options.integer("flushBytes", 0)};
}

Napi::Value time_operator(const Napi::CallbackInfo& info) {
  OperatorRun run = parse_operator_run(info);
  return submit_timing(info, run.device, std::move(run.work), parse_plan(info[3]));
}

Napi::Value time_module(const Napi::CallbackInfo& info) {
  ModuleRun run = parse_module_run(info, info[4]);
  return submit_timing(info, run.device, std::move(run.work), parse_plan(info[5]));
}

// The two tensors are made by the first run, on the queue: their memory belongs to its stream.
Napi::Value time_copy(const Napi::CallbackInfo& info) {
  const c10::Device device = parse_device(info[0]);
  const int64_t bytes = info[1].As<Napi::Number>().Int64Value();
  const auto pair = std::make_shared<std::pair<at::Tensor, at::Tensor>>();
  const auto work = [device, bytes, pair] {
    auto& [from, to] = *pair;
    if (!from.defined()) {
      const auto options = at::TensorOptions().dtype(at::kByte).device(device);
      from = at::empty({bytes}, options).fill_(1);
      to = at::empty({bytes}, options);
    }
    to.copy_(from);
    return NamedTensors();
  };
  return submit_timing(info, device, work, parse_plan(info[2]));
}

}  // namespace

void export_timing(Napi::Env env, Napi::Object exports) {
  exports.Set("timeOperator", Napi::Function::New(env, boundary<time_operator>, "timeOperator"));
  exports.Set("timeCopy", Napi::Function::New(env, boundary<time_copy>, "timeCopy"));
  exports.Set("timeModule", Napi::Function::New(env, boundary<time_module>, "timeModule"));
}

}  // namespace freqfusion::node
