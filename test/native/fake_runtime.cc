// A GPU that is made up, as the addon's: in place of native/node/cuda/absent.cc in freqfusion_fake_gpu.node. What it
// does is said by FAKE_GPU: a list of words.
//   wait=MS      an event takes so long
//   short=N      the first N events do not find memory
//   die          the device dies when it is waited for
//   die-at=STEP  the second device dies when memory is given back (empty) or when it is made current (set)
#include <ATen/ops/empty_like.h>

#include <cstdlib>
#include <sstream>

#include "test/native/fake_device.h"

namespace freqfusion::node {
namespace {

FakeDevice* make_device() {
  auto* device = new FakeDevice;
  const char* words = std::getenv("FAKE_GPU");
  std::istringstream list(words == nullptr ? "" : words);
  for (std::string word; list >> word;) {
    if (word.rfind("wait=", 0) == 0) device->wait_time = std::chrono::milliseconds(std::stoi(word.substr(5)));
    if (word == "die") device->faults[0] = "an illegal memory access was encountered";
    if (word == "die-at=empty") device->on_empty = [device] { device->die(1, "misaligned address"); };
    if (word == "die-at=set") {
      device->on_set_device = [device](int index) {
        if (index == 1) device->die(1, "misaligned address");
      };
    }
    if (word.rfind("short=", 0) == 0) {
      device->on_record = [device, left = std::stoi(word.substr(6))]() mutable {
        if (left-- > 0) device->run_out_of_memory(1 << 20);
      };
    }
  }
  return device;
}

}  // namespace

at::Tensor FakeDevice::pinned_like(const at::Tensor& tensor) { return at::empty_like(tensor); }

DeviceRuntime* device_runtime() {
  static FakeDevice* device = make_device();
  return device;
}

}  // namespace freqfusion::node
