#pragma once

// The device of a call: its guard, its current stream, and what a failed launch says. The tests compile the same glue
// with FREQFUSION_CUDA_ON_CPU, which registers the kernels' bodies for the CPU.

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#if defined(FREQFUSION_CUDA_ON_CPU)

#define FREQFUSION_CUDA_KEY CPU

namespace freqfusion::cuda {

class OnDevice {
 public:
  explicit OnDevice(const at::Tensor&) {}
  void* stream() const { return nullptr; }
};

}  // namespace freqfusion::cuda

#else

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#define FREQFUSION_CUDA_KEY CUDA

namespace freqfusion::cuda {

class OnDevice {
 public:
  explicit OnDevice(const at::Tensor& tensor)
      : guard_(tensor.device()), stream_(c10::cuda::getCurrentCUDAStream(tensor.device().index())) {}
  void* stream() const { return stream_.stream(); }

 private:
  c10::cuda::CUDAGuard guard_;
  c10::cuda::CUDAStream stream_;
};

}  // namespace freqfusion::cuda

#endif

namespace freqfusion::cuda {

// `status` is what a launch returned.
inline void check_launch(const char* status, const char* kernel) {
  TORCH_CHECK(status == nullptr, "the CUDA kernel of ", kernel, " did not start: ", status);
}

}  // namespace freqfusion::cuda
