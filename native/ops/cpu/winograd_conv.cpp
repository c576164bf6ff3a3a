#include "native/ops/winograd_conv.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>

#include "native/ops/check.h"
#include "native/ops/cpu/aligned_scratch.h"
#include "native/ops/cpu/winograd_conv_kernels.h"
#include "native/ops/cpu/winograd_conv_layout.h"

namespace freqfusion {
namespace {

// The map itself where the channels of each pixel lie side by side, else a channels-last copy.
at::Tensor by_pixels(const at::Tensor& map) {
  if (map.size(1) == 1 || map.stride(1) == 1) return map;
  return map.contiguous(at::MemoryFormat::ChannelsLast);
}

// Tiles that one thread works on at once: few enough for their inputs and products to stay in the third-level cache,
// many enough to be worth reading the weights again. 24 is a whole number of the product's rows.
int64_t block_of(int64_t in, int64_t out, int64_t tiles) {
  const int64_t block = std::clamp<int64_t>(12288 / std::max(in, out) / 24 * 24, 24, 96);
  const int64_t threads = at::get_num_threads();
  return std::min(block, (tiles + threads - 1) / threads);
}

void run(const at::Tensor& output, const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
         std::string_view activation, const std::optional<at::Tensor>& residual) {
  if (output.numel() == 0) return;
  const at::Tensor pixels = by_pixels(x), panels = weight.contiguous();
  const at::Tensor biases = bias ? bias->contiguous() : at::Tensor();
  const at::Tensor sum = residual ? by_pixels(*residual) : at::Tensor();
  cpu::WinogradConvArgs args{};
  args.x = pixels.const_data_ptr<float>();
  args.weight = panels.const_data_ptr<float>();
  args.bias = bias ? biases.const_data_ptr<float>() : nullptr;
  args.residual = residual ? sum.const_data_ptr<float>() : nullptr;
  args.output = output.mutable_data_ptr<float>();
  args.x_image = pixels.stride(0);
  args.x_row = pixels.stride(2);
  args.x_pixel = pixels.stride(3);
  if (residual) {
    args.residual_image = sum.stride(0);
    args.residual_row = sum.stride(2);
    args.residual_pixel = sum.stride(3);
  }
  args.output_image = output.stride(0);
  args.output_row = output.stride(2);
  args.output_pixel = output.stride(3);
  args.height = x.size(2);
  args.width = x.size(3);
  args.in = x.size(1);
  args.out = output.size(1);
  args.tile_rows = (args.height + 3) / 4;
  args.tile_columns = (args.width + 3) / 4;
  args.relu = activation == "relu";
  const auto kernel = FREQFUSION_DISPATCH(winograd_conv_forward);
  const int64_t tiles = x.size(0) * args.tile_rows * args.tile_columns;
  const int64_t block = block_of(args.in, args.out, tiles);
  at::parallel_for(0, (tiles + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    const int64_t floats = cpu::winograd_floats(cpu::winograd_layout(args.in, args.out, block));
    const cpu::AlignedScratch scratch(floats * static_cast<int64_t>(sizeof(float)));
    for (int64_t i = begin; i < end; ++i) {
      kernel(args, i * block, std::min(tiles, (i + 1) * block), static_cast<float*>(scratch.data));
    }
  });
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                   int64_t out_channels, std::string_view activation, const std::optional<at::Tensor>& residual) {
  check_winograd_conv(x, weight, bias, out_channels, activation, residual);
  at::Tensor output =
      at::empty({x.size(0), out_channels, x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
  run(output, x, weight, bias, activation, residual);
  return output;
}

}  // namespace

void winograd_conv_out(const at::Tensor& output, const at::Tensor& x, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, std::string_view activation,
                       const std::optional<at::Tensor>& residual) {
  check_rank4(output, "output", "[N, C, H, W]");
  check_winograd_conv(x, weight, bias, output.size(1), activation, residual);
  check_same_kind(x, "x", output, "output");
  const c10::SymInt sizes[] = {x.size(0), output.size(1), x.size(2), x.size(3)};
  check_sizes(output, sizes, "output");
  TORCH_CHECK(output.stride(1) == 1 || output.size(1) == 1, "expected channels-last memory for output");
  TORCH_CHECK(!output.is_alias_of(x), "expected an output that shares no memory with x");
  run(output, x, weight, bias, activation, residual);
}

bool winograd_conv_pays() { return cpu::chosen_isa() != cpu::Isa::baseline; }

}  // namespace freqfusion

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("winograd_conv", freqfusion::forward); }
