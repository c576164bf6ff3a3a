#include "native/ops/high_pass.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "native/ops/carafe_check.h"
#include "native/ops/cpu/overlap.h"
#include "native/ops/cuda/carafe_into.h"
#include "native/ops/cuda/device.h"

namespace freqfusion::cuda {
namespace {

int own_factor(bool residual) { return residual ? 2 : 1; }

at::Tensor& high_pass_out(const at::Tensor& x, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                          std::string_view border, bool residual, at::Tensor& output) {
  const CarafeOptions options{kernel_size, groups, 1, parse_border(border)};
  check_carafe(x, masks, options, "x");
  check_output(output, x.sym_sizes(), x, "x");
  check_no_overlap(output, {x, masks});
  carafe_into(output, x, masks, options, own_factor(residual));
  return output;
}

at::Tensor high_pass(const at::Tensor& x, const at::Tensor& masks, int64_t kernel_size, int64_t groups,
                     std::string_view border, bool residual) {
  const CarafeOptions options{kernel_size, groups, 1, parse_border(border)};
  check_carafe(x, masks, options, "x");
  const OnDevice device(x);
  const at::Tensor output = at::empty(x.sizes(), x.options(), x.suggest_memory_format());
  carafe_into(output, x, masks, options, own_factor(residual));
  return output;
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) {
  m.impl("high_pass", freqfusion::cuda::high_pass);
  m.impl("high_pass.out", freqfusion::cuda::high_pass_out);
}
