#pragma once

#include <napi.h>

namespace freqfusion::node {

void export_mapped_files(Napi::Env env, Napi::Object exports);

}  // namespace freqfusion::node
