#include "native/ops/offset_sampler.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/CPUAllocator.h>
#include <torch/library.h>

#include <algorithm>

#include "native/ops/check.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/offset_sampler_kernels.h"
#include "native/ops/cpu/overlap.h"
#include "native/ops/cpu/streaming.h"

namespace freqfusion {
namespace {

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The kernels keep positions in 32 bits.
void check_side(int64_t side) {
  TORCH_CHECK(side <= INT32_MAX, "expected at most 2^31 - 1 for the sides of x, got ", side);
}

cpu::OffsetSamplerArgs describe(const at::Tensor& x, const at::Tensor& offset, int64_t groups) {
  check_side(x.size(2));
  check_side(x.size(3));
  cpu::OffsetSamplerArgs args{};
  args.storage = cpu::storage_of(x);
  args.x = cpu::map_of(x);
  args.offset = cpu::map_of(offset);
  args.groups = groups;
  args.group_channels = x.size(1) / groups;
  args.height = x.size(2);
  args.width = x.size(3);
  return args;
}

// Short groups do not fill vectors and are read plane by plane, whatever the layout.
bool channels_are_dense(const cpu::OffsetSamplerArgs& args, const cpu::Map& other) {
  return args.x.channel == 1 && other.channel == 1 && args.group_channels >= 4;
}

template <typename Kernel>
void over_rows(const cpu::OffsetSamplerArgs& args, int64_t images, Kernel kernel) {
  // About 16,000 samples are worth a thread.
  const int64_t grain = std::max<int64_t>(1, 16384 / (args.width * args.group_channels));
  at::parallel_for(0, images * args.groups * args.height, grain,
                   [&](int64_t begin, int64_t end) { kernel(args, begin, end); });
}

at::Tensor& forward_out(const at::Tensor& x, const at::Tensor& offset, int64_t groups, at::Tensor& output) {
  check_offset_sampler(x, offset, groups);
  check_output(output, x.sym_sizes(), x, "x");
  check_no_overlap(output, {x, offset});
  if (output.numel() == 0) return output;
  auto args = describe(x, offset, groups);
  args.out = cpu::map_of(output);
  args.dense_channels = channels_are_dense(args, args.out);
  args.stream =
      args.dense_channels ? cpu::can_stream(output, 1, args.group_channels) : cpu::can_stream(output, 3, args.width);
  over_rows(args, x.size(0), FREQFUSION_DISPATCH(offset_sampler_forward));
  return output;
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& offset, int64_t groups) {
  check_offset_sampler(x, offset, groups);
  auto output = at::empty_like(x);
  return forward_out(x, offset, groups, output);
}

// Splits the gradient of x into bands of rows of at most 512 KB a block of channels.
void plan_bands(cpu::OffsetSamplerArgs& args) {
  const int64_t block = cpu::kSamplerBlockBytes / cpu::accumulator_size(args.storage);
  args.channel_blocks = divide_up(args.group_channels, block);
  const int64_t row_bytes = args.width * cpu::kSamplerBlockBytes;
  args.band_rows = std::min(args.height, std::max<int64_t>(4, (512 << 10) / row_bytes));
  args.bands = divide_up(args.height, args.band_rows);
}

std::tuple<at::Tensor, at::Tensor> backward(const at::Tensor& grad_output, const at::Tensor& x,
                                            const at::Tensor& offset, int64_t groups) {
  check_offset_sampler_backward(grad_output, x, offset, groups);
  auto grad_x = at::empty_like(x);
  auto grad_offset = at::empty_like(offset);
  // Without channels the offsets still have a gradient: 0.
  if (grad_x.numel() == 0) return {grad_x, grad_offset.zero_()};
  auto args = describe(x, offset, groups);
  args.grad_output = cpu::map_of(grad_output);
  args.grad_x = cpu::map_of(grad_x);
  args.grad_offset = cpu::map_of(grad_offset);
  args.dense_channels = channels_are_dense(args, args.grad_output);
  const int64_t images = x.size(0);
  auto source_rows = at::empty({images, groups, args.height, 2}, at::kInt);
  args.source_rows = source_rows.mutable_data_ptr<int32_t>();
  over_rows(args, images, FREQFUSION_DISPATCH(offset_sampler_backward_offset));

  plan_bands(args);
  const auto kernel = FREQFUSION_DISPATCH(offset_sampler_backward_x);
  const int64_t bytes = args.band_rows * args.width * cpu::kSamplerBlockBytes;
  at::parallel_for(0, images * groups * args.channel_blocks * args.bands, 1, [&](int64_t begin, int64_t end) {
    const auto scratch = c10::GetCPUAllocator()->allocate(static_cast<size_t>(bytes));
    kernel(args, scratch.get(), begin, end);
  });
  return {grad_x, grad_offset};
}

}  // namespace
}  // namespace freqfusion

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) {
  m.impl("offset_sampler", freqfusion::forward);
  m.impl("offset_sampler.out", freqfusion::forward_out);
  m.impl("offset_sampler_backward", freqfusion::backward);
}
