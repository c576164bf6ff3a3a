#pragma once

#include <napi.h>

namespace freqfusion::node {

// Throws ERR_TORCH_VERSION where the libtorch that was loaded is not the one that the addon was built against: its
// C++ interface has no stable layout between versions.
void check_torch_version();

void export_runtime(Napi::Env env, Napi::Object exports);

}  // namespace freqfusion::node
