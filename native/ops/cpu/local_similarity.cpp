#include "native/ops/local_similarity.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/CPUAllocator.h>
#include <torch/library.h>

#include <algorithm>

#include "native/ops/check.h"
#include "native/ops/cpu/local_similarity_kernels.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/overlap.h"

namespace freqfusion {
namespace {

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

cpu::LocalSimilarityArgs describe(const at::Tensor& x, const at::Tensor& out, int64_t kernel_size, int64_t dilation,
                                  Similarity similarity) {
  cpu::LocalSimilarityArgs args{};
  args.storage = cpu::storage_of(x);
  args.cosine = similarity == Similarity::cosine;
  args.x = cpu::map_of(x);
  args.out = cpu::map_of(out);
  args.channels = x.size(1);
  args.height = x.size(2);
  args.width = x.size(3);
  args.kernel_size = kernel_size;
  args.dilation = dilation;
  args.reach_rows = std::min(kernel_size / 2, (args.height - 1) / dilation);
  args.reach_columns = std::min(kernel_size / 2, (args.width - 1) / dilation);
  args.residues = std::min(dilation, args.height);
  args.row_blocks = divide_up(divide_up(args.height, dilation), cpu::kSimilarityRows);
  args.column_tiles = divide_up(args.width, cpu::kSimilarityColumns);
  args.tile_columns = divide_up(divide_up(args.width, args.column_tiles), 16) * 16;
  args.halo = args.reach_columns * dilation;
  args.pitch = divide_up(args.tile_columns + 2 * args.halo, 16) * 16;
  args.active_taps = (2 * args.reach_rows + 1) * (2 * args.reach_columns + 1);
  return args;
}

// Enough working memory for one thread of any of the kernels: staged channels and norms, the weights of the taps and
// a few accumulators, one pixel's partners; each piece begins on a cache line.
int64_t scratch_bytes(const cpu::LocalSimilarityArgs& args) {
  const int64_t rows = cpu::kSimilarityRows + 2 * args.reach_rows;
  const int64_t values = (cpu::kSimilarityChannels + 1) * rows * args.pitch +
                         (args.active_taps + 5) * cpu::kSimilarityRows * args.tile_columns + args.active_taps +
                         args.channels;
  return values * cpu::accumulator_size(args.storage) + args.active_taps * static_cast<int64_t>(sizeof(void*)) + 1024;
}

template <typename Kernel>
void over_tiles(const cpu::LocalSimilarityArgs& args, int64_t images, Kernel kernel) {
  const int64_t tiles = images * args.row_blocks * args.residues * args.column_tiles;
  const int64_t tile_work = cpu::kSimilarityRows * args.tile_columns * args.active_taps * (args.channels + 1);
  // About 130,000 multiplications are worth a thread.
  const int64_t grain = std::max<int64_t>(1, 131072 / tile_work);
  const int64_t bytes = scratch_bytes(args);
  at::parallel_for(0, tiles, grain, [&](int64_t begin, int64_t end) {
    const auto scratch = c10::GetCPUAllocator()->allocate(bytes);
    kernel(args, scratch.get(), begin, end);
  });
}

// Dense channels, and enough of them to fill vectors.
bool is_channels_last(const at::Tensor& tensor) { return tensor.stride(1) == 1 && tensor.size(1) >= 8; }

at::Tensor& forward_out(const at::Tensor& x, int64_t kernel_size, int64_t dilation, c10::string_view similarity,
                        at::Tensor& output) {
  check_local_similarity(x, kernel_size, dilation);
  const auto kind = parse_similarity(similarity);
  check_output(output, local_similarity_sizes(x, kernel_size), x, "x");
  check_no_overlap(output, {x});
  if (output.numel() == 0) return output;
  const auto args = describe(x, output, kernel_size, dilation, kind);
  over_tiles(args, x.size(0),
             is_channels_last(x) ? FREQFUSION_DISPATCH(local_similarity_pixels)
                                 : FREQFUSION_DISPATCH(local_similarity_planes));
  return output;
}

at::Tensor forward(const at::Tensor& x, int64_t kernel_size, int64_t dilation, c10::string_view similarity) {
  check_local_similarity(x, kernel_size, dilation);
  auto output = empty_local_similarity(x, kernel_size);
  return forward_out(x, kernel_size, dilation, similarity, output);
}

at::Tensor backward(const at::Tensor& grad_output, const at::Tensor& x, int64_t kernel_size, int64_t dilation,
                    c10::string_view similarity) {
  check_local_similarity_backward(grad_output, x, kernel_size, dilation);
  const auto kind = parse_similarity(similarity);
  auto grad_x = at::empty_like(x);
  if (grad_x.numel() == 0) return grad_x;
  auto args = describe(x, grad_x, kernel_size, dilation, kind);
  args.grad_output = cpu::map_of(grad_output);
  over_tiles(args, x.size(0),
             is_channels_last(x) && is_channels_last(grad_x) ? FREQFUSION_DISPATCH(local_similarity_backward_pixels)
                                                             : FREQFUSION_DISPATCH(local_similarity_backward_planes));
  return grad_x;
}

}  // namespace
}  // namespace freqfusion

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) {
  m.impl("local_similarity", freqfusion::forward);
  m.impl("local_similarity.out", freqfusion::forward_out);
  m.impl("local_similarity_backward", freqfusion::backward);
}
