#pragma once

#include <napi.h>

namespace freqfusion::node {

// Throws ERR_TORCH_VERSION where the libtorch that was loaded is not the one that the addon was built against: its
// C++ interface has no stable layout between versions.
void check_torch_version();

// float32 is float32 on GPUs, too: libtorch would round what convolutions read to TF32, which moves results by a
// thousandth. FREQFUSION_TF32=1 allows it, for convolutions and matrix products.
void choose_float32_precision();

void export_runtime(Napi::Env env, Napi::Object exports);

}  // namespace freqfusion::node
