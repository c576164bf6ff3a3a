#include "native/ops/carafe.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/CPUAllocator.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>

#include "native/ops/carafe_check.h"
#include "native/ops/cpu/carafe_into.h"
#include "native/ops/cpu/carafe_kernels.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/overlap.h"
#include "native/ops/cpu/streaming.h"

namespace freqfusion::cpu {
namespace {

using Kernel = void (*)(const CarafeArgs&, const CarafeTask&, void*);

// Multiply-adds that are worth another thread.
constexpr int64_t kGrainWork = 1 << 18;

CarafeArgs arguments(const at::Tensor& features, const at::Tensor& masks, const CarafeOptions& options) {
  CarafeArgs args;
  args.storage = storage_of(features);
  args.batch = features.size(0);
  args.channels = features.size(1);
  args.height = features.size(2);
  args.width = features.size(3);
  args.kernel_size = static_cast<int>(options.kernel_size);
  args.groups = static_cast<int>(options.groups);
  args.scale = static_cast<int>(options.scale);
  args.reflect = options.border == Border::reflect;
  args.features = map_of(features);
  args.masks = map_of(masks);
  return args;
}

// Source rows of all images and groups are shared out; where they are fewer than the threads can use, `split_channels`
// lets each group's channels be shared out as well.
void for_each_task(const CarafeArgs& args, bool split_channels, Kernel kernel) {
  const int64_t group_channels = args.channels / args.groups;
  const int64_t rows = args.batch * args.groups * args.height;
  if (rows == 0 || group_channels == 0 || args.width == 0) return;
  const int64_t wanted = 4 * at::get_num_threads();
  int64_t parts = 1;
  if (split_channels && rows < wanted) parts = std::clamp<int64_t>(group_channels / 16, 1, (wanted + rows - 1) / rows);
  const int64_t part_channels = (group_channels + parts - 1) / parts;

  const int64_t taps = int64_t{args.kernel_size} * args.kernel_size * args.scale * args.scale;
  const int64_t row_work = std::max<int64_t>(1, part_channels * args.width * taps);
  const int64_t grain = std::max<int64_t>(1, kGrainWork / row_work);
  const int64_t scratch_bytes = FREQFUSION_DISPATCH(carafe_scratch_bytes)(args);
  at::parallel_for(0, rows * parts, grain, [&](int64_t begin, int64_t end) {
    const auto scratch = c10::GetCPUAllocator()->allocate(static_cast<size_t>(scratch_bytes));
    // Index = ((image * groups + group) * parts + part) * height + row: a thread's rows are neighbours.
    for (int64_t index = begin; index < end;) {
      const int64_t row = index % args.height, plane = index / args.height;
      const int64_t count = std::min(end - index, args.height - row);
      const int64_t part = plane % parts, group = plane / parts % args.groups;
      const int64_t first = group * group_channels + part * part_channels;
      const int64_t last = std::min(first + part_channels, (group + 1) * group_channels);
      if (first < last) {
        kernel(args, {plane / parts / args.groups, group, first, last, row, row + count}, scratch.get());
      }
      index += count;
    }
  });
}

bool is_channels_last(const at::Tensor& tensor) {
  return tensor.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
}

at::Tensor& carafe_out_cpu(const at::Tensor& features, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                           int64_t scale, std::string_view border, at::Tensor& output) {
  const CarafeOptions options{kernel_size, groups, scale, parse_border(border)};
  check_carafe(features, masks, options);
  check_output(output, carafe_output_sizes(features, scale), features, "features");
  check_no_overlap(output, {features, masks});
  carafe_into(output, features, masks, options, 0);
  return output;
}

at::Tensor carafe_cpu(const at::Tensor& features, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                      int64_t scale, std::string_view border) {
  const CarafeOptions options{kernel_size, groups, scale, parse_border(border)};
  check_carafe(features, masks, options);
  const at::Tensor output =
      at::empty({features.size(0), features.size(1), features.size(2) * scale, features.size(3) * scale},
                features.options(), features.suggest_memory_format());
  carafe_into(output, features, masks, options, 0);
  return output;
}

std::tuple<at::Tensor, at::Tensor> carafe_backward_cpu(const at::Tensor& grad_output, const at::Tensor& features,
                                                       const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                                                       int64_t scale, std::string_view border) {
  const CarafeOptions options{kernel_size, groups, scale, parse_border(border)};
  check_carafe(features, masks, options);
  check_carafe_grad(grad_output, features, scale);
  const bool channels_last = is_channels_last(features);
  const auto channel_vectors = [&](const at::Tensor& tensor) {
    return channels_last && tensor.stride(1) != 1 ? tensor.contiguous(at::MemoryFormat::ChannelsLast) : tensor;
  };
  const at::Tensor input = channel_vectors(features), grad = channel_vectors(grad_output);
  const at::Tensor grad_features = at::empty(features.sizes(), features.options(), features.suggest_memory_format());
  const at::Tensor grad_masks = at::empty(masks.sizes(), masks.options(), masks.suggest_memory_format());
  if (features.size(1) == 0) grad_masks.zero_();

  CarafeArgs args = arguments(input, masks, options);
  args.output = map_of(grad);
  args.grad_features = map_of(grad_features);
  args.grad_masks = map_of(grad_masks);
  for_each_task(
      args, true,
      channels_last ? FREQFUSION_DISPATCH(carafe_grad_features_nhwc) : FREQFUSION_DISPATCH(carafe_grad_features));
  for_each_task(args, false,
                channels_last ? FREQFUSION_DISPATCH(carafe_grad_masks_nhwc) : FREQFUSION_DISPATCH(carafe_grad_masks));
  return {grad_features, grad_masks};
}

}  // namespace

void carafe_into(const at::Tensor& output, const at::Tensor& features, const at::Tensor& masks,
                 const CarafeOptions& options, int own) {
  const bool dense_channels = output.stride(1) == 1 && output.stride(3) != 1;
  const at::Tensor input =
      dense_channels && features.stride(1) != 1 ? features.contiguous(at::MemoryFormat::ChannelsLast) : features;
  CarafeArgs args = arguments(input, masks, options);
  args.own = own;
  args.output = map_of(output);
  args.stream =
      dense_channels ? can_stream(output, 1, features.size(1) / options.groups) : can_stream(output, 3, output.size(3));
  for_each_task(args, true,
                dense_channels ? FREQFUSION_DISPATCH(carafe_forward_nhwc) : FREQFUSION_DISPATCH(carafe_forward));
}

}  // namespace freqfusion::cpu

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) {
  m.impl("carafe", freqfusion::cpu::carafe_cpu);
  m.impl("carafe.out", freqfusion::cpu::carafe_out_cpu);
  m.impl("carafe_backward", freqfusion::cpu::carafe_backward_cpu);
}
