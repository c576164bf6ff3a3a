#include "native/ops/sampling_offset.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>

#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/sampling_offset_kernels.h"

namespace freqfusion::cpu {
namespace {

at::Tensor sampling_offset_cpu(const at::Tensor& hr, const at::Tensor& lr, const at::Tensor& init_pos, bool scaled) {
  check_sampling_offset(hr, lr, init_pos, scaled);
  const at::Tensor output = at::empty({lr.size(0), init_pos.size(1), lr.size(2), lr.size(3)}, lr.options());
  const at::Tensor start = init_pos.to(at::kDouble).contiguous();
  SamplingOffsetArgs args;
  args.storage = storage_of(lr);
  args.channels = output.size(1);
  args.height = output.size(2);
  args.width = output.size(3);
  args.scaled = scaled;
  args.hr = map_of(hr);
  args.lr = map_of(lr);
  args.output = map_of(output);
  args.init_pos = start.const_data_ptr<double>();
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, args.channels * args.width));
  at::parallel_for(0, output.size(0) * args.height, grain,
                   [&](int64_t begin, int64_t end) { FREQFUSION_DISPATCH(sampling_offset_forward)(args, begin, end); });
  return output;
}

}  // namespace
}  // namespace freqfusion::cpu

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("sampling_offset", freqfusion::cpu::sampling_offset_cpu); }
