#pragma once

#include <c10/core/InferenceMode.h>
#include <napi.h>

#include "native/modules/error.h"

namespace freqfusion::node {

// The exception being handled, as a JavaScript Error with `code`, `expected` and `actual`.
Napi::Value current_exception_to_js(Napi::Env env);

// The one exception boundary: every exported function runs inside it, so that no C++ exception reaches Node, which
// would abort the process.
template <Napi::Value (*function)(const Napi::CallbackInfo&)>
Napi::Value boundary(const Napi::CallbackInfo& info) {
  const c10::InferenceMode inference;
  try {
    return function(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw Napi::Error(info.Env(), current_exception_to_js(info.Env()));
  }
}

}  // namespace freqfusion::node
