#include "native/ops/strip_convs.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>

#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/pixels_of.h"
#include "native/ops/cpu/strip_convs_kernels.h"
#include "native/ops/panel_check.h"

namespace freqfusion {
namespace {

// Bands of rows that every panel is cut into where there are fewer panels than threads. A band computes 20 rows of its
// neighbours again, so bands are not short.
int64_t bands_for(int64_t panels, int64_t height) {
  const int64_t wanted = (at::get_num_threads() + panels - 1) / panels;
  return std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, height / 16));
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  check_strip_convs(x, weight, bias, PanelTypes::wide);
  at::Tensor output = at::empty(x.sizes(), x.options(), at::MemoryFormat::ChannelsLast);
  if (output.numel() == 0) return output;
  const at::Tensor pixels = cpu::pixel_major(x), weights = weight.contiguous(), biases = bias.contiguous();
  const int64_t height = x.size(2), width = x.size(3), panels = panels_of(x.size(1));
  cpu::StripConvsArgs args{};
  args.storage = cpu::storage_of(x);
  args.x = pixels.const_data_ptr();
  args.weight = weights.const_data_ptr();
  args.bias = biases.const_data_ptr();
  args.output = output.mutable_data_ptr();
  args.x_pixel = cpu::pixel_step(pixels);
  args.channels = x.size(1);
  args.height = height;
  args.width = width;

  const int64_t share = cpu::strip_convs_scratch(width) * cpu::accumulator_size(args.storage);
  const at::Tensor scratch = at::empty({at::get_num_threads(), share}, x.options().dtype(at::kByte));
  auto* memory = scratch.mutable_data_ptr<uint8_t>();
  const auto kernel = FREQFUSION_DISPATCH(strip_convs_forward);
  const int64_t bands = bands_for(x.size(0) * panels, height), rows = (height + bands - 1) / bands;
  at::parallel_for(0, x.size(0) * panels * bands, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % bands * rows, last = std::min(first + rows, height);
      if (first >= last) continue;
      kernel(args, {task / bands / panels, task / bands % panels, first, last}, memory + at::get_thread_num() * share);
    }
  });
  return output;
}

}  // namespace
}  // namespace freqfusion

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("strip_convs", freqfusion::forward); }
