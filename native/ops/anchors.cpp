#include "native/ops/anchors.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include <cmath>

#include "native/ops/check.h"

namespace freqfusion {
namespace {

void check_positive(double value, const char* name) {
  TORCH_CHECK(std::isfinite(value) && value > 0, "expected a positive number for ", name, ", got ", value);
}

}  // namespace

at::Tensor base_anchors(double base_size, const AnchorOptions& options) {
  check_positive(base_size, "base_size");
  TORCH_CHECK(!options.scales.empty() && !options.ratios.empty(), "expected at least one of scales and ratios, got ",
              options.scales.size(), " and ", options.ratios.size());
  for (const double scale : options.scales) check_positive(scale, "scales");
  for (const double ratio : options.ratios) check_positive(ratio, "ratios");
  TORCH_CHECK(std::isfinite(options.center_offset), "expected a number for center_offset, got ", options.center_offset);
  const size_t scales = options.scales.size(), ratios = options.ratios.size();
  const at::Tensor anchors = at::empty({static_cast<int64_t>(ratios * scales), 4}, at::kFloat);
  float* to = anchors.mutable_data_ptr<float>();
  const double centre = options.center_offset * base_size;
  const size_t outer = options.scale_major ? ratios : scales, inner = options.scale_major ? scales : ratios;
  for (size_t i = 0; i < outer; ++i) {
    for (size_t j = 0; j < inner; ++j) {
      const double root = std::sqrt(options.ratios[options.scale_major ? i : j]);
      const double size = base_size * options.scales[options.scale_major ? j : i];
      const double half_width = 0.5 * size / root, half_height = 0.5 * size * root;
      *to++ = static_cast<float>(centre - half_width);
      *to++ = static_cast<float>(centre - half_height);
      *to++ = static_cast<float>(centre + half_width);
      *to++ = static_cast<float>(centre + half_height);
    }
  }
  return anchors;
}

at::Tensor grid_anchors(const at::Tensor& base, int64_t height, int64_t width, double stride_x, double stride_y) {
  TORCH_CHECK(base.dim() == 2 && base.size(1) == 4, "expected shape [A, 4] for base, got ", base.sizes());
  check_floating(base, "base");
  check_range(height, 0, INT32_MAX, "height");
  check_range(width, 0, INT32_MAX, "width");
  check_positive(stride_x, "stride_x");
  check_positive(stride_y, "stride_y");
  const double anchors = static_cast<double>(height) * static_cast<double>(width) * static_cast<double>(base.size(0));
  TORCH_CHECK(anchors <= INT32_MAX, "expected at most 2^31 - 1 anchors for height, width and base, got ", height, " x ",
              width, " x ", base.size(0));
  // Before a row or a column of anything is made: the other side may be of any length.
  if (anchors == 0) return at::empty({0, 4}, base.options());
  const at::Tensor x = at::arange(width, base.options()) * stride_x, y = at::arange(height, base.options()) * stride_y;
  const at::Tensor columns = x.unsqueeze(0).expand({height, width}), rows = y.unsqueeze(1).expand({height, width});
  const at::Tensor shifts = at::stack({columns, rows, columns, rows}, -1).reshape({height * width, 1, 4});
  return (base.unsqueeze(0) + shifts).reshape({-1, 4});
}

}  // namespace freqfusion
