#include "native/ops/local_similarity.h"

#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include "native/ops/check.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/overlap.h"
#include "native/ops/cuda/device.h"
#include "native/ops/cuda/local_similarity.h"

namespace freqfusion::cuda {
namespace {

LocalSimilarityArgs arguments(const at::Tensor& x, const at::Tensor& out, int64_t kernel_size, int64_t dilation,
                              Similarity similarity) {
  LocalSimilarityArgs args{};
  args.storage = cpu::storage_of(x);
  args.batch = x.size(0);
  args.channels = x.size(1);
  args.height = x.size(2);
  args.width = x.size(3);
  args.kernel_size = kernel_size;
  args.dilation = dilation;
  args.cosine = similarity == Similarity::cosine;
  args.x = cpu::map_of(x);
  args.out = cpu::map_of(out);
  return args;
}

at::Tensor& forward_out(const at::Tensor& x, int64_t kernel_size, int64_t dilation, c10::string_view similarity,
                        at::Tensor& output) {
  check_local_similarity(x, kernel_size, dilation);
  const auto kind = parse_similarity(similarity);
  check_output(output, local_similarity_sizes(x, kernel_size), x, "x");
  check_no_overlap(output, {x});
  if (output.numel() == 0) return output;
  const OnDevice device(x);
  const auto args = arguments(x, output, kernel_size, dilation, kind);
  check_launch(local_similarity_forward(args, device.stream()), "local_similarity");
  return output;
}

at::Tensor forward(const at::Tensor& x, int64_t kernel_size, int64_t dilation, c10::string_view similarity) {
  check_local_similarity(x, kernel_size, dilation);
  const OnDevice device(x);
  auto output = empty_local_similarity(x, kernel_size);
  return forward_out(x, kernel_size, dilation, similarity, output);
}

at::Tensor backward(const at::Tensor& grad_output, const at::Tensor& x, int64_t kernel_size, int64_t dilation,
                    c10::string_view similarity) {
  check_local_similarity_backward(grad_output, x, kernel_size, dilation);
  const auto kind = parse_similarity(similarity);
  const OnDevice device(x);
  auto grad_x = at::empty_like(x);
  // A kernel of one tap compares nothing.
  if (grad_x.numel() == 0 || kernel_size == 1) return grad_x.zero_();
  auto args = arguments(x, grad_x, kernel_size, dilation, kind);
  args.grad_output = cpu::map_of(grad_output);
  check_launch(local_similarity_backward(args, device.stream()), "local_similarity_backward");
  return grad_x;
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) {
  m.impl("local_similarity", freqfusion::cuda::forward);
  m.impl("local_similarity.out", freqfusion::cuda::forward_out);
  m.impl("local_similarity_backward", freqfusion::cuda::backward);
}
