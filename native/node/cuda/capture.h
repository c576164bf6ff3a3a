#pragma once

#include <memory>

#include "native/node/device_runtime.h"

namespace freqfusion::node::cuda {

// Captures CUDA graphs on one device.
std::unique_ptr<DeviceCapturer> make_capturer(int index);

}  // namespace freqfusion::node::cuda
