#pragma once

#include <napi.h>

namespace freqfusion::node {

void export_modules(Napi::Env env, Napi::Object exports);

}  // namespace freqfusion::node
