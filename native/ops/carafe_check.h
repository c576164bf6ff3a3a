#pragma once

// The argument rules of carafe, the same for every backend.

#include <ATen/core/Tensor.h>

#include <array>

#include "native/ops/carafe.h"
#include "native/ops/check.h"

namespace freqfusion {

inline std::array<c10::SymInt, 4> carafe_output_sizes(const at::Tensor& features, int64_t scale) {
  return {features.sym_size(0), features.sym_size(1), features.sym_size(2) * scale, features.sym_size(3) * scale};
}

// `name` is what the operator calls its features.
inline void check_carafe(const at::Tensor& features, const at::Tensor& masks, const CarafeOptions& options,
                         const char* name = "features") {
  check_rank4(features, name, "[N, C, h, w]");
  check_rank4(masks, "masks", "[N, groups*k*k, scale*h, scale*w]");
  check_floating(features, name);
  check_same_kind(features, name, masks, "masks");
  check_kernel_size(options.kernel_size);
  check_range(options.scale, 1, 4, "scale");
  TORCH_CHECK(options.groups >= 1, "expected at least 1 for groups, got ", options.groups);
  TORCH_CHECK(features.sym_size(1) % options.groups == 0, "expected a divisor of the ", features.sym_size(1),
              " channels of ", name, " for groups, got ", options.groups);
  const std::array<c10::SymInt, 4> mask_sizes{
      features.sym_size(0), options.groups * options.kernel_size * options.kernel_size,
      features.sym_size(2) * options.scale, features.sym_size(3) * options.scale};
  check_sizes(masks, mask_sizes, "masks");
  const int64_t radius = options.kernel_size / 2;
  TORCH_CHECK(options.border == Border::zeros || (features.sym_size(2) > radius && features.sym_size(3) > radius),
              "expected height and width above kernel_size / 2 (", radius, ") for ", name,
              " with border \"reflect\", got ", features.sym_size(2), " x ", features.sym_size(3));
}

inline void check_carafe_grad(const at::Tensor& grad_output, const at::Tensor& features, int64_t scale) {
  check_rank4(grad_output, "grad_output", "[N, C, scale*h, scale*w]");
  check_same_kind(features, "features", grad_output, "grad_output");
  check_sizes(grad_output, carafe_output_sizes(features, scale), "grad_output");
}

}  // namespace freqfusion
