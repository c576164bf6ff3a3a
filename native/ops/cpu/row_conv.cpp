#include "native/ops/row_conv.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "native/ops/accumulator.h"
#include "native/ops/cpu/aligned_scratch.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/row_conv_kernels.h"
#include "native/ops/row_layout.h"

namespace freqfusion::cpu {
namespace {

// Rows of one task: enough that the rows staged above and below them do not count.
constexpr int64_t kTaskRows = 32;
// Multiply-adds that are worth another thread.
constexpr int64_t kGrainWork = 1 << 18;
// Outputs from this many bytes on would evict what is still needed from the caches, and not survive there anyway.
constexpr int64_t kStreamBytes = 24 << 20;

// [tile][input channel][ky][kx][channel in the tile].
at::Tensor pack(const at::Tensor& weight, int64_t tiles) {
  const int64_t channels = weight.size(0);
  std::vector<at::Tensor> blocks;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t first = t * channels / tiles, last = (t + 1) * channels / tiles;
    blocks.push_back(weight.narrow(0, first, last - first).permute({1, 2, 3, 0}).reshape({-1}));
  }
  return at::cat(blocks);
}

at::Tensor row_conv_cpu(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                        int64_t dilation) {
  check_row_conv(x, weight, bias.value_or(at::Tensor()), dilation);
  const auto options = x.options().dtype(accumulator_type(x.scalar_type()));
  const at::Tensor output = empty_rows({x.size(0), weight.size(0), x.size(2), x.size(3)}, options);
  if (output.numel() == 0) return output;
  const at::Tensor weights = pack(weight.to(options.dtype()), FREQFUSION_DISPATCH(row_conv_tiles)(weight.size(0)));
  const at::Tensor offsets = bias ? bias->to(options.dtype()).contiguous() : at::zeros({weight.size(0)}, options);

  RowConvArgs args;
  args.storage = storage_of(x);
  args.in_channels = x.size(1);
  args.out_channels = weight.size(0);
  args.height = x.size(2);
  args.width = x.size(3);
  args.kernel_size = static_cast<int>(weight.size(2));
  args.dilation = static_cast<int>(dilation);
  args.x = map_of(x);
  args.output = map_of(output);
  args.weights = weights.const_data_ptr();
  args.bias = offsets.const_data_ptr();
  args.stream = output.numel() * output.element_size() >= kStreamBytes;

  const int64_t reach = weight.size(2) / 2 * dilation;
  const int64_t threads = at::get_num_threads();
  const int64_t row_work = std::max<int64_t>(1, weight.numel() * args.width);
  // Short tasks where the map is low, so that every thread has some; never so short that staging prevails.
  const int64_t fair = (x.size(0) * args.height + 2 * threads - 1) / (2 * threads);
  const int64_t worth = std::max<int64_t>((kGrainWork + row_work - 1) / row_work, 2 * reach + 1);
  const int64_t rows = std::clamp<int64_t>(std::max(fair, worth), 1, std::max(kTaskRows, worth));
  const int64_t tasks = (args.height + rows - 1) / rows;
  const int64_t scratch_bytes = FREQFUSION_DISPATCH(row_conv_scratch_bytes)(args);
  at::parallel_for(0, x.size(0) * tasks, 1, [&](int64_t begin, int64_t end) {
    const AlignedScratch scratch(scratch_bytes);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % tasks * rows;
      FREQFUSION_DISPATCH(row_conv_forward)
      (args, task / tasks, first, std::min(first + rows, args.height), scratch.data);
    }
  });
  return output;
}

}  // namespace
}  // namespace freqfusion::cpu

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("row_conv", freqfusion::cpu::row_conv_cpu); }
