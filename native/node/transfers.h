#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "native/node/device_stream.h"

namespace freqfusion::node {

// A copy of a CPU tensor on a GPU, by way of page-locked memory: the CPU copies into that at once and goes on, where a
// plain copy would wait until the device has done all that is before it in the stream.
at::Tensor upload(const at::Tensor& source, DeviceStream& target);

// A copy of a GPU tensor on the CPU, in C order, in two steps: `start` puts it into the stream, `take` waits for it.
class Download {
 public:
  static Download start(const at::Tensor& source, DeviceStream& from);
  // On any thread, once.
  at::Tensor take();

 private:
  at::Tensor pinned_;
  std::shared_ptr<DeviceEvent> arrived_;
};

}  // namespace freqfusion::node
