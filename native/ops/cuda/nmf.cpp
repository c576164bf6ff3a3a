#include "native/ops/nmf.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/softmax.h>
#include <torch/library.h>

#include <optional>

#include "native/ops/cuda/device.h"
#include "native/ops/cuda/nmf.h"

namespace freqfusion::cuda {
namespace {

// factor * numerator / (factor * (other^T other) + 1e-6).
at::Tensor updated(const at::Tensor& factor, const at::Tensor& numerator, const at::Tensor& other) {
  const at::Tensor gram = at::bmm(other.transpose(1, 2), other);
  const at::Tensor output = at::empty(factor.sizes(), factor.options());
  const OnDevice device(factor);
  const NmfUpdateArgs args{factor.scalar_type() == at::kDouble,
                           factor.size(0),
                           factor.size(1),
                           factor.size(2),
                           factor.const_data_ptr(),
                           numerator.const_data_ptr(),
                           gram.const_data_ptr(),
                           output.mutable_data_ptr()};
  check_launch(nmf_update(args, device.stream()), "nmf");
  return output;
}

// Three launches an update: two matrix products, and the denominator with the division.
at::Tensor forward(const at::Tensor& x, const at::Tensor& start, int64_t steps) {
  check_nmf(x, start, steps);
  const OnDevice device(x);
  if (x.numel() == 0) return at::empty(x.sizes(), x.options());
  at::Tensor bases = start.contiguous(), products = at::bmm(x, bases);
  at::Tensor coefficients = at::softmax(products, -1, std::nullopt);
  for (int64_t step = 0; step < steps; ++step) {
    coefficients = updated(coefficients, products, bases);
    bases = updated(bases, at::bmm(x.transpose(1, 2), coefficients), coefficients);
    products = at::bmm(x, bases);
  }
  coefficients = updated(coefficients, products, bases);
  return at::bmm(coefficients, bases.transpose(1, 2));
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) { m.impl("nmf", freqfusion::cuda::forward); }
