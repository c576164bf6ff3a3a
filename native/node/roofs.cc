#include "native/node/roofs.h"

#include <memory>

#include "native/node/errors.h"
#include "native/node/jobs.h"
#include "native/ops/roofs.h"

namespace freqfusion::node {
namespace {

Napi::Array numbers(Napi::Env env, const std::vector<double>& values) {
  Napi::Array list = Napi::Array::New(env, values.size());
  for (size_t i = 0; i < values.size(); ++i) list.Set(i, values[i]);
  return list;
}

// measureRoofs(bytes, repeats): a job like any other, on the queue's thread and with its number of threads.
Napi::Value measure(const Napi::CallbackInfo& info) {
  const int64_t bytes = info[0].As<Napi::Number>().Int64Value();
  const int repeats = info[1].As<Napi::Number>().Int32Value();
  const auto samples = std::make_shared<RoofSamples>();
  return submit(
      info, info.Env().Undefined(), c10::Device(c10::kCPU),
      [samples, bytes, repeats] { *samples = measure_roofs(bytes, repeats); },
      [samples](Napi::Env env) {
        Napi::Object result = Napi::Object::New(env);
        result.Set("copy", numbers(env, samples->copy));
        result.Set("stream", numbers(env, samples->stream));
        result.Set("fma", numbers(env, samples->fma));
        return result;
      });
}

}  // namespace

void export_roofs(Napi::Env env, Napi::Object exports) {
  exports.Set("measureRoofs", Napi::Function::New(env, boundary<measure>, "measureRoofs"));
}

}  // namespace freqfusion::node
