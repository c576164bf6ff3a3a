#include "native/ops/kernel_normalizer.h"

#include <ATen/MemoryOverlap.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <torch/library.h>

#include <algorithm>

#include "native/ops/check.h"
#include "native/ops/cpu/kernel_normalizer_kernels.h"
#include "native/ops/cpu/map_of.h"

namespace freqfusion {
namespace {

// Rows that follow each other without a gap can be read as one.
bool rows_join(const cpu::Map& map, int64_t width) { return map.row == map.column * width; }

// Pixels of one run: its taps * run values take 16 KB of the first-level cache for the usual kernels, and the runs
// stay long enough for the prefetcher to follow that many planes.
int64_t run_length(int64_t taps) { return std::clamp<int64_t>(4096 / taps / 16 * 16, 16, 256); }

cpu::KernelNormalizerArgs describe(const at::Tensor& in, const at::Tensor& grad, const at::Tensor& out,
                                   int64_t kernel_size, int64_t groups) {
  cpu::KernelNormalizerArgs args{};
  args.storage = cpu::storage_of(in);
  args.in = cpu::map_of(in);
  args.grad = cpu::map_of(grad);
  args.out = cpu::map_of(out);
  args.groups = groups;
  args.taps = kernel_size * kernel_size;
  args.height = in.size(2);
  args.width = in.size(3);
  if (rows_join(args.in, args.width) && rows_join(args.grad, args.width) && rows_join(args.out, args.width)) {
    args.width *= args.height;
    args.height = 1;
  }
  args.run = run_length(args.taps);
  args.runs_per_row = (args.width + args.run - 1) / args.run;
  return args;
}

template <typename Kernel>
void over_runs(const cpu::KernelNormalizerArgs& args, int64_t images, Kernel kernel) {
  const int64_t runs = images * args.groups * args.height * args.runs_per_row;
  // About 32,000 exponentials are worth a thread.
  const int64_t grain = std::max<int64_t>(1, 32768 / (args.taps * args.run));
  at::parallel_for(0, runs, grain, [&](int64_t begin, int64_t end) { kernel(args, begin, end); });
}

at::Tensor& forward_out(const at::Tensor& logits, int64_t kernel_size, bool hamming, int64_t groups,
                        at::Tensor& output) {
  check_kernel_normalizer(logits, kernel_size, groups);
  check_output(output, logits.sym_sizes(), logits, "logits");
  at::assert_no_internal_overlap(output);
  at::assert_no_partial_overlap(output, logits);
  if (output.numel() == 0) return output;
  const auto window = hamming ? hamming_window(kernel_size) : at::ones({kernel_size, kernel_size}, at::kFloat);
  auto args = describe(logits, logits, output, kernel_size, groups);
  args.window = window.const_data_ptr<float>();
  over_runs(args, logits.size(0), FREQFUSION_DISPATCH(kernel_normalizer_forward));
  return output;
}

at::Tensor forward(const at::Tensor& logits, int64_t kernel_size, bool hamming, int64_t groups) {
  check_kernel_normalizer(logits, kernel_size, groups);
  auto output = at::empty_like(logits);
  return forward_out(logits, kernel_size, hamming, groups, output);
}

at::Tensor backward(const at::Tensor& grad_output, const at::Tensor& output, int64_t kernel_size, int64_t groups) {
  check_kernel_normalizer_backward(grad_output, output, kernel_size, groups);
  auto grad_logits = at::empty_like(output);
  if (grad_logits.numel() == 0) return grad_logits;
  over_runs(describe(output, grad_output, grad_logits, kernel_size, groups), output.size(0),
            FREQFUSION_DISPATCH(kernel_normalizer_backward));
  return grad_logits;
}

}  // namespace
}  // namespace freqfusion

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) {
  m.impl("kernel_normalizer", freqfusion::forward);
  m.impl("kernel_normalizer.out", freqfusion::forward_out);
  m.impl("kernel_normalizer_backward", freqfusion::backward);
}
