#include "native/ops/carafe.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "native/ops/carafe_check.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/overlap.h"
#include "native/ops/cuda/carafe.h"
#include "native/ops/cuda/carafe_into.h"
#include "native/ops/cuda/device.h"

namespace freqfusion::cuda {
namespace {

CarafeArgs arguments(const at::Tensor& features, const at::Tensor& masks, const at::Tensor& output,
                     const CarafeOptions& options) {
  CarafeArgs args{};
  args.storage = cpu::storage_of(features);
  args.batch = features.size(0);
  args.channels = features.size(1);
  args.height = features.size(2);
  args.width = features.size(3);
  args.kernel_size = static_cast<int>(options.kernel_size);
  args.groups = static_cast<int>(options.groups);
  args.scale = static_cast<int>(options.scale);
  args.reflect = options.border == Border::reflect;
  args.features = cpu::map_of(features);
  args.masks = cpu::map_of(masks);
  args.output = cpu::map_of(output);
  return args;
}

at::Tensor& forward_out(const at::Tensor& features, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                        int64_t scale, std::string_view border, at::Tensor& output) {
  const CarafeOptions options{kernel_size, groups, scale, parse_border(border)};
  check_carafe(features, masks, options);
  check_output(output, carafe_output_sizes(features, scale), features, "features");
  check_no_overlap(output, {features, masks});
  carafe_into(output, features, masks, options, 0);
  return output;
}

at::Tensor forward(const at::Tensor& features, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                   int64_t scale, std::string_view border) {
  const CarafeOptions options{kernel_size, groups, scale, parse_border(border)};
  check_carafe(features, masks, options);
  const OnDevice device(features);
  const at::Tensor output =
      at::empty({features.size(0), features.size(1), features.size(2) * scale, features.size(3) * scale},
                features.options(), features.suggest_memory_format());
  carafe_into(output, features, masks, options, 0);
  return output;
}

std::tuple<at::Tensor, at::Tensor> backward(const at::Tensor& grad_output, const at::Tensor& features,
                                            const at::Tensor& masks, int64_t kernel_size, int64_t groups, int64_t scale,
                                            std::string_view border) {
  const CarafeOptions options{kernel_size, groups, scale, parse_border(border)};
  check_carafe(features, masks, options);
  check_carafe_grad(grad_output, features, scale);
  const OnDevice device(features);
  const at::Tensor grad_features = at::empty(features.sizes(), features.options(), features.suggest_memory_format());
  const at::Tensor grad_masks = at::empty(masks.sizes(), masks.options(), masks.suggest_memory_format());
  // Without channels the masks still have a gradient: 0.
  if (features.numel() == 0) return {grad_features, grad_masks.zero_()};
  CarafeArgs args = arguments(features, masks, grad_output, options);
  args.grad_features = cpu::map_of(grad_features);
  args.grad_masks = cpu::map_of(grad_masks);
  check_launch(carafe_grad_features(args, device.stream()), "carafe_backward");
  check_launch(carafe_grad_masks(args, device.stream()), "carafe_backward");
  return {grad_features, grad_masks};
}

}  // namespace

void carafe_into(const at::Tensor& output, const at::Tensor& features, const at::Tensor& masks,
                 const CarafeOptions& options, int own) {
  if (output.numel() == 0) return;
  const OnDevice device(features);
  CarafeArgs args = arguments(features, masks, output, options);
  args.own = own;
  check_launch(carafe_forward(args, device.stream()), own == 0 ? "carafe" : "high_pass");
}

}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) {
  m.impl("carafe", freqfusion::cuda::forward);
  m.impl("carafe.out", freqfusion::cuda::forward_out);
  m.impl("carafe_backward", freqfusion::cuda::backward);
}
