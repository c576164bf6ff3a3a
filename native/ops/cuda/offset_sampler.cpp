#include "native/ops/offset_sampler.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include "native/ops/accumulator.h"
#include "native/ops/check.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/overlap.h"
#include "native/ops/cuda/device.h"
#include "native/ops/cuda/offset_sampler.h"

namespace freqfusion::cuda {
namespace {

OffsetSamplerArgs arguments(const at::Tensor& x, const at::Tensor& offset, const at::Tensor& out, int64_t groups) {
  for (const int64_t side : {x.size(2), x.size(3)}) {
    TORCH_CHECK(side <= INT32_MAX, "expected at most 2^31 - 1 for the sides of x, got ", side);
  }
  OffsetSamplerArgs args{};
  args.storage = cpu::storage_of(x);
  args.batch = x.size(0);
  args.channels = x.size(1);
  args.height = x.size(2);
  args.width = x.size(3);
  args.groups = groups;
  args.x = cpu::map_of(x);
  args.offset = cpu::map_of(offset);
  args.out = cpu::map_of(out);
  return args;
}

at::Tensor& forward_out(const at::Tensor& x, const at::Tensor& offset, int64_t groups, at::Tensor& output) {
  check_offset_sampler(x, offset, groups);
  check_output(output, x.sym_sizes(), x, "x");
  check_no_overlap(output, {x, offset});
  if (output.numel() == 0) return output;
  const OnDevice device(x);
  check_launch(offset_sampler_forward(arguments(x, offset, output, groups), device.stream()), "offset_sampler");
  return output;
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& offset, int64_t groups) {
  check_offset_sampler(x, offset, groups);
  const OnDevice device(x);
  auto output = at::empty_like(x);
  return forward_out(x, offset, groups, output);
}

std::tuple<at::Tensor, at::Tensor> backward(const at::Tensor& grad_output, const at::Tensor& x,
                                            const at::Tensor& offset, int64_t groups) {
  check_offset_sampler_backward(grad_output, x, offset, groups);
  const OnDevice device(x);
  auto grad_offset = at::empty_like(offset);
  // Without channels the offsets still have a gradient: 0.
  if (x.numel() == 0) return {at::empty_like(x), grad_offset.zero_()};
  // The one working tensor of these kernels: 16-bit gradients are summed in float32.
  const auto sum_type = accumulator_type(x.scalar_type());
  const auto sums = at::zeros_like(x, x.options().dtype(sum_type));
  auto args = arguments(x, offset, grad_output, groups);
  args.grad_offset = cpu::map_of(grad_offset);
  args.grad_x = cpu::map_of(sums);
  check_launch(offset_sampler_grad_offset(args, device.stream()), "offset_sampler_backward");
  check_launch(offset_sampler_grad_x(args, device.stream()), "offset_sampler_backward");
  return {sums.to(x.scalar_type()), grad_offset};
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) {
  m.impl("offset_sampler", freqfusion::cuda::forward);
  m.impl("offset_sampler.out", freqfusion::cuda::forward_out);
  m.impl("offset_sampler_backward", freqfusion::cuda::backward);
}
