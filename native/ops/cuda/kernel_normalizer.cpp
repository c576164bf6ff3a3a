#include "native/ops/kernel_normalizer.h"

#include <ATen/MemoryOverlap.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include "native/ops/check.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cuda/device.h"
#include "native/ops/cuda/kernel_normalizer.h"

namespace freqfusion::cuda {
namespace {

KernelNormalizerArgs arguments(const at::Tensor& in, const at::Tensor& grad_output, const at::Tensor& out,
                               int64_t kernel_size, int64_t groups) {
  KernelNormalizerArgs args{};
  args.storage = cpu::storage_of(in);
  args.batch = in.size(0);
  args.groups = groups;
  args.height = in.size(2);
  args.width = in.size(3);
  args.kernel_size = static_cast<int>(kernel_size);
  args.in = cpu::map_of(in);
  args.grad_output = cpu::map_of(grad_output);
  args.out = cpu::map_of(out);
  return args;
}

at::Tensor& forward_out(const at::Tensor& logits, int64_t kernel_size, bool hamming, int64_t groups,
                        at::Tensor& output) {
  check_kernel_normalizer(logits, kernel_size, groups);
  check_output(output, logits.sym_sizes(), logits, "logits");
  at::assert_no_internal_overlap(output);
  at::assert_no_partial_overlap(output, logits);
  if (output.numel() == 0) return output;
  const OnDevice device(logits);
  auto args = arguments(logits, logits, output, kernel_size, groups);
  for (int64_t i = 0; i < kernel_size; ++i) args.side[i] = hamming ? hamming_weight(i, kernel_size) : 1.0;
  check_launch(kernel_normalizer_forward(args, device.stream()), "kernel_normalizer");
  return output;
}

at::Tensor forward(const at::Tensor& logits, int64_t kernel_size, bool hamming, int64_t groups) {
  check_kernel_normalizer(logits, kernel_size, groups);
  const OnDevice device(logits);
  auto output = at::empty_like(logits);
  return forward_out(logits, kernel_size, hamming, groups, output);
}

at::Tensor backward(const at::Tensor& grad_output, const at::Tensor& output, int64_t kernel_size, int64_t groups) {
  check_kernel_normalizer_backward(grad_output, output, kernel_size, groups);
  const OnDevice device(output);
  auto grad_logits = at::empty_like(output);
  if (grad_logits.numel() == 0) return grad_logits;
  const auto args = arguments(output, grad_output, grad_logits, kernel_size, groups);
  check_launch(kernel_normalizer_backward(args, device.stream()), "kernel_normalizer_backward");
  return grad_logits;
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) {
  m.impl("kernel_normalizer", freqfusion::cuda::forward);
  m.impl("kernel_normalizer.out", freqfusion::cuda::forward_out);
  m.impl("kernel_normalizer_backward", freqfusion::cuda::backward);
}
