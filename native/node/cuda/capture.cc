#include "native/node/cuda/capture.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>

#include <utility>

namespace freqfusion::node::cuda {
namespace {

using c10::cuda::CUDAStream;

// The private memory pool that graphs of one device share while any of them lives. libtorch does not take a pool up
// again after its last graph has gone: then a new one is made.
using Pool = std::shared_ptr<const c10::MempoolId_t>;

class CudaGraph final : public DeviceGraph {
 public:
  explicit CudaGraph(Pool pool) : pool_(std::move(pool)) {}

  void capture(CUDAStream stream, const std::function<void()>& work) {
    const c10::cuda::CUDAStreamGuard guard(stream);
    // Thread-local: other threads may allocate and wait, on this device too, while this one captures.
    graph_.capture_begin(*pool_, cudaStreamCaptureModeThreadLocal);
    try {
      work();
      graph_.capture_end();
    } catch (...) {
      abandon(stream);
      throw;
    }
  }

  void replay() override { graph_.replay(); }

 private:
  // Takes stream and allocator out of the capture; what went wrong is on its way already.
  void abandon(CUDAStream stream) noexcept {
    try {
      graph_.capture_end();
    } catch (...) {
      // It has ended already, or could not: before 2.12 that left the allocator in it.
      try {
        c10::cuda::CUDACachingAllocator::endAllocateToPool(stream.device_index(), *pool_);
      } catch (...) {
      }
    }
    C10_CUDA_CLEAR_ERROR();
  }

  Pool pool_;
  at::cuda::CUDAGraph graph_;
};

class CudaCapturer final : public DeviceCapturer {
 public:
  explicit CudaCapturer(int index)
      : stream_(c10::cuda::getStreamFromPool(false, static_cast<c10::DeviceIndex>(index))) {}

  std::unique_ptr<DeviceGraph> capture(const std::function<void()>& work) override {
    Pool pool = pool_.lock();
    if (pool == nullptr) {
      pool = std::make_shared<const c10::MempoolId_t>(at::cuda::graph_pool_handle());
      pool_ = pool;
    }
    auto graph = std::make_unique<CudaGraph>(std::move(pool));
    graph->capture(stream_, work);
    return graph;
  }

 private:
  CUDAStream stream_;
  std::weak_ptr<const c10::MempoolId_t> pool_;
};

}  // namespace

std::unique_ptr<DeviceCapturer> make_capturer(int index) { return std::make_unique<CudaCapturer>(index); }

}  // namespace freqfusion::node::cuda
