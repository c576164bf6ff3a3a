#include "native/ops/conv_mlp.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>

#include "native/ops/cpu/conv_mlp_kernels.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/pixels_of.h"
#include "native/ops/panel_check.h"

namespace freqfusion {
namespace {

// Rows that are finished together: as many as keep the working memory within 640 KB of the second-level cache. More
// rows mean that fc1 and fc2, where they do not fit beside it, are read less often.
int64_t step_of(const cpu::ConvMlpArgs& args) {
  const int64_t row = (args.width + 2) * 16 * ((args.hidden + 15) / 16) * cpu::accumulator_size(args.storage);
  return std::clamp<int64_t>((640 * 1024 / row - 2) / 2, 1, args.height);
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& fc1, const at::Tensor& fc1_bias, const at::Tensor& depthwise,
                   const at::Tensor& depthwise_bias, const at::Tensor& fc2, const at::Tensor& fc2_bias,
                   int64_t hidden) {
  check_conv_mlp(x, {fc1, fc1_bias, depthwise, depthwise_bias, fc2, fc2_bias}, hidden, PanelTypes::wide);
  at::Tensor output = at::empty(x.sizes(), x.options(), at::MemoryFormat::ChannelsLast);
  if (output.numel() == 0) return output;
  const at::Tensor pixels = cpu::pixel_major(x);
  const at::Tensor weights[] = {fc1.contiguous(),       fc1_bias.contiguous(),
                                depthwise.contiguous(), depthwise_bias.contiguous(),
                                fc2.contiguous(),       fc2_bias.contiguous()};
  cpu::ConvMlpArgs args{};
  args.storage = cpu::storage_of(x);
  args.x = pixels.const_data_ptr();
  args.fc1 = weights[0].const_data_ptr();
  args.fc1_bias = weights[1].const_data_ptr();
  args.depthwise = weights[2].const_data_ptr();
  args.depthwise_bias = weights[3].const_data_ptr();
  args.fc2 = weights[4].const_data_ptr();
  args.fc2_bias = weights[5].const_data_ptr();
  args.output = output.mutable_data_ptr();
  args.x_pixel = cpu::pixel_step(pixels);
  args.channels = x.size(1);
  args.hidden = hidden;
  args.height = x.size(2);
  args.width = x.size(3);
  args.step = step_of(args);

  const int64_t share = (cpu::conv_mlp_scratch(args) * cpu::accumulator_size(args.storage) + 255) / 64 * 64;
  const at::Tensor scratch = at::empty({at::get_num_threads(), share}, x.options().dtype(at::kByte));
  auto* memory = scratch.mutable_data_ptr<uint8_t>();
  const auto kernel = FREQFUSION_DISPATCH(conv_mlp_forward);
  // Every thread computes two hidden rows that its neighbours compute too: a few rows at least are worth that.
  at::parallel_for(0, x.size(0) * args.height, 4, [&](int64_t begin, int64_t end) {
    kernel(args, begin, end, memory + at::get_thread_num() * share);
  });
  return output;
}

}  // namespace
}  // namespace freqfusion

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("conv_mlp", freqfusion::forward); }
