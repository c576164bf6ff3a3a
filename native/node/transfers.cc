#include "native/node/transfers.h"

#include <ATen/ops/empty.h>

namespace freqfusion::node {
namespace {

// Page-locked memory is kept for the next transfer, and is taken from everyone else: large ones do without it.
constexpr int64_t kPinnedMost = 256 << 20;

bool worth_pinning(const at::Tensor& tensor) {
  const auto bytes = static_cast<int64_t>(tensor.nbytes());
  return bytes > 0 && bytes <= kPinnedMost;
}

}  // namespace

at::Tensor upload(const at::Tensor& source, DeviceStream& target) {
  if (!worth_pinning(source)) return source.to(target.device());
  const at::Tensor pinned = target.runtime().pinned_like(source);
  pinned.copy_(source);
  // The allocator of pinned memory gives `pinned` to nobody before the device has read it.
  return pinned.to(target.device(), pinned.scalar_type(), /*non_blocking=*/true);
}

Download Download::start(const at::Tensor& source, DeviceStream& from) {
  Download download;
  const at::Tensor packed = source.contiguous();
  if (!worth_pinning(source)) {
    download.pinned_ = packed.to(at::kCPU);
    return download;
  }
  download.pinned_ = from.runtime().pinned_like(packed);
  download.pinned_.copy_(packed, /*non_blocking=*/true);
  download.arrived_ = from.record();
  return download;
}

at::Tensor Download::take() {
  if (arrived_ == nullptr) return std::move(pinned_);
  arrived_->wait();
  // JavaScript may hold what it gets for long: that is memory of the plain kind.
  at::Tensor copy = at::empty(pinned_.sizes(), pinned_.options().pinned_memory(false));
  copy.copy_(pinned_);
  pinned_.reset();
  return copy;
}

}  // namespace freqfusion::node
