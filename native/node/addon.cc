// The addon's export list; lib/binding.ts types it.
#include <napi.h>

#include "native/node/allocator.h"
#include "native/node/environment.h"
#include "native/node/errors.h"
#include "native/node/jobs.h"
#include "native/node/mapped_file.h"
#include "native/node/modules.h"
#include "native/node/operators.h"
#include "native/node/roofs.h"
#include "native/node/runtime.h"
#include "native/node/tensors.h"
#include "native/node/timing.h"

namespace freqfusion::node {
namespace {

// Runs on the environment's own thread before Node tears it down: from here on no job of it runs.
void end_environment(void* data) { static_cast<Environment*>(data)->shutdown(); }

Napi::Object start(Napi::Env env, Napi::Object exports) {
  try {
    check_torch_version();
    choose_float32_precision();
    install_allocator();
    auto environment = std::make_unique<Environment>(env);
    napi_add_env_cleanup_hook(env, &end_environment, environment.get());
    env.SetInstanceData(environment.release());
  } catch (...) {
    throw Napi::Error(env, current_exception_to_js(env));
  }
  export_runtime(env, exports);
  export_tensors(env, exports);
  export_mapped_files(env, exports);
  export_jobs(env, exports);
  export_operators(env, exports);
  export_roofs(env, exports);
  export_modules(env, exports);
  export_timing(env, exports);
  return exports;
}

}  // namespace
}  // namespace freqfusion::node

static Napi::Object start_freqfusion(Napi::Env env, Napi::Object exports) {
  return freqfusion::node::start(env, exports);
}

NODE_API_MODULE(freqfusion, start_freqfusion)
