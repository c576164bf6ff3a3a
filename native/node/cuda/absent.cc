// The twin of runtime.cc in a build without CUDA.
#include "native/node/device_runtime.h"

namespace freqfusion::node {

DeviceRuntime* device_runtime() { return nullptr; }

}  // namespace freqfusion::node
