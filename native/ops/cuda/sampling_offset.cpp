#include "native/ops/sampling_offset.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "native/ops/cpu/map_of.h"
#include "native/ops/cuda/device.h"
#include "native/ops/cuda/sampling_offset.h"

namespace freqfusion::cuda {
namespace {

at::Tensor forward(const at::Tensor& hr, const at::Tensor& lr, const at::Tensor& init_pos, bool scaled) {
  check_sampling_offset(hr, lr, init_pos, scaled);
  TORCH_CHECK(init_pos.device() == lr.device(), "expected the device of lr (", lr.device(), ") for init_pos, got ",
              init_pos.device());
  const OnDevice device(lr);
  const at::Tensor output = at::empty({lr.size(0), init_pos.size(1), lr.size(2), lr.size(3)}, lr.options());
  if (output.numel() == 0) return output;
  SamplingOffsetArgs args{};
  args.storage = cpu::storage_of(lr);
  args.start_storage = cpu::storage_of(init_pos);
  args.batch = output.size(0);
  args.channels = output.size(1);
  args.height = output.size(2);
  args.width = output.size(3);
  args.scaled = scaled;
  args.hr = cpu::map_of(hr);
  args.lr = cpu::map_of(lr);
  args.output = cpu::map_of(output);
  args.start = init_pos.const_data_ptr();
  args.start_step = init_pos.stride(1);
  check_launch(sampling_offset_forward(args, device.stream()), "sampling_offset");
  return output;
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) { m.impl("sampling_offset", freqfusion::cuda::forward); }
