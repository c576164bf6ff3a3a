#include "native/ops/group_norm.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/overlap.h"
#include "native/ops/cuda/device.h"
#include "native/ops/cuda/group_norm.h"

namespace freqfusion::cuda {
namespace {

at::Tensor& group_norm_out(const at::Tensor& x, int64_t groups, const at::Tensor& weight, const at::Tensor& bias,
                           double eps, at::Tensor& output) {
  check_group_norm(output, x, groups, weight, bias, true);
  for (const at::Tensor& other : {output, weight, bias}) {
    TORCH_CHECK(other.device() == x.device(), "expected the device of x (", x.device(),
                ") for out, weight and bias, got ", other.device());
  }
  check_no_overlap(output, {x});
  if (output.numel() == 0) return output;
  const OnDevice device(x);
  const at::Tensor weights = weight.contiguous(), biases = bias.contiguous();
  GroupNormArgs args{};
  args.storage = cpu::storage_of(x);
  args.output_storage = cpu::storage_of(output);
  args.batch = x.size(0);
  args.channels = x.size(1);
  args.height = x.size(2);
  args.width = x.size(3);
  args.groups = groups;
  args.eps = eps;
  args.x = cpu::map_of(x);
  args.output = cpu::map_of(output);
  args.weight_storage = cpu::storage_of(weights);
  args.bias_storage = cpu::storage_of(biases);
  args.weight = weights.const_data_ptr();
  args.bias = biases.const_data_ptr();
  args.parts = group_norm_parts(args);
  const at::Tensor moments = at::empty({args.batch * groups, args.parts, 2}, x.options().dtype(at::kDouble));
  args.moments = moments.mutable_data_ptr<double>();
  check_launch(group_norm_moments(args, device.stream()), "group_norm");
  check_launch(group_norm_apply(args, device.stream()), "group_norm");
  return output;
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) { m.impl("group_norm.out", freqfusion::cuda::group_norm_out); }
