// The addon's GPUs, by CUDA: the only file beside capture.cc that knows it.
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <utility>

#if __has_include(<torch/headeronly/version.h>)
#include <torch/headeronly/version.h>
#else
#include <torch/version.h>
#endif

#include "native/node/cuda/capture.h"
#include "native/node/device_runtime.h"

namespace freqfusion::node {
namespace {

using c10::cuda::CUDAGuard;
using c10::cuda::CUDAStream;

thread_local std::optional<int64_t> failed_allocation;

c10::DeviceIndex index_of(int index) { return static_cast<c10::DeviceIndex>(index); }

class CudaEvent final : public DeviceEvent {
 public:
  CudaEvent(CUDAStream stream, bool timed) : device_(stream.device_index()) {
    const CUDAGuard guard(device_);
    // Blocking: a thread that waits for a network leaves its core to the event loop.
    const unsigned flags = cudaEventBlockingSync | (timed ? cudaEventDefault : cudaEventDisableTiming);
    C10_CUDA_CHECK(cudaEventCreateWithFlags(&event_, flags));
    const cudaError_t status = cudaEventRecord(event_, stream.stream());
    if (status != cudaSuccess) destroy();
    C10_CUDA_CHECK(status);
  }
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  ~CudaEvent() override {
    try {
      const CUDAGuard guard(device_);
      destroy();
    } catch (...) {  // of a device that is lost
    }
  }

  void wait() override {
    const CUDAGuard guard(device_);
    C10_CUDA_CHECK(cudaEventSynchronize(event_));
  }

  double milliseconds_since(const DeviceEvent& earlier) const override {
    const CUDAGuard guard(device_);
    float milliseconds = 0;
    C10_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, static_cast<const CudaEvent&>(earlier).event_, event_));
    return milliseconds;
  }

 private:
  void destroy() { C10_CUDA_IGNORE_ERROR(cudaEventDestroy(event_)); }

  c10::DeviceIndex device_;
  cudaEvent_t event_ = nullptr;
};

// libtorch tells its observers how much was asked for, but not whoever catches the error.
void observe_failed_allocations() {
  static std::once_flag once;
  std::call_once(once, [] {
    c10::cuda::CUDACachingAllocator::attachOutOfMemoryObserver(
        [](int64_t, size_t requested, size_t, size_t) { failed_allocation = static_cast<int64_t>(requested); });
  });
}

class CudaRuntime final : public DeviceRuntime {
 public:
  int count() override { return c10::cuda::device_count(); }

  c10::Stream new_stream(int index) override {
    const CUDAStream stream = c10::cuda::getStreamFromPool(false, index_of(index));
    const c10::cuda::CUDAStreamGuard guard(stream);
    // The first tensor brings the allocator up.
    at::empty({1}, at::TensorOptions().dtype(at::kByte).device(stream.device()));
    observe_failed_allocations();
    return stream.unwrap();
  }

  void set_stream(c10::Stream stream) override { c10::cuda::setCurrentCUDAStream(CUDAStream(stream)); }
  void set_device(int index) override { c10::cuda::set_device(index_of(index)); }

  std::unique_ptr<DeviceEvent> record(c10::Stream stream, bool timed) override {
    return std::make_unique<CudaEvent>(CUDAStream(stream), timed);
  }

  std::unique_ptr<DeviceCapturer> capturer(int index) override { return cuda::make_capturer(index); }

  at::Tensor pinned_like(const at::Tensor& tensor) override {
    return at::empty_like(tensor, tensor.options().device(at::kCPU).pinned_memory(true));
  }

  DeviceMemory memory(int index) override {
    const CUDAGuard guard(index_of(index));
    size_t free = 0, total = 0;
    C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(index_of(index));
    constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return {stats.allocated_bytes[kAll].current, stats.reserved_bytes[kAll].current, stats.allocated_bytes[kAll].peak,
            static_cast<int64_t>(free), static_cast<int64_t>(total)};
  }

  void reset_peak(int index) override { c10::cuda::CUDACachingAllocator::resetPeakStats(index_of(index)); }

  void empty_cache() override {
    c10::cuda::CUDACachingAllocator::emptyCache();
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 9
    at::getHostAllocator(at::kCUDA)->empty_cache();
#endif
  }

  std::optional<int64_t> take_failed_allocation() override { return std::exchange(failed_allocation, std::nullopt); }

  std::optional<std::string> fault(c10::Stream stream) noexcept override {
    try {
      const CUDAStream queried(stream);
      const CUDAGuard guard(queried.device_index());
      (void)cudaGetLastError();
      // A failed context answers every call with its failure, and a healthy one with whether the stream is busy.
      const cudaError_t status = cudaStreamQuery(queried.stream());
      (void)cudaGetLastError();
      if (status == cudaSuccess || status == cudaErrorNotReady) return std::nullopt;
      return std::string(cudaGetErrorString(status));
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
  }
};

}  // namespace

DeviceRuntime* device_runtime() {
  // Never destroyed: events of other static objects may outlive every scope of ours.
  static auto* runtime = new CudaRuntime;
  return runtime;
}

}  // namespace freqfusion::node
