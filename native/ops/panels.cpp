#include "native/ops/panels.h"

#include <ATen/ops/constant_pad_nd.h>

namespace freqfusion {
namespace {

// [channels, n] -> [panels, n, 16], a view.
at::Tensor cut(const at::Tensor& rows) {
  const int64_t panels = panels_of(rows.size(0));
  const int64_t missing = panels * kPanelOutputs - rows.size(0);
  const at::Tensor whole = missing == 0 ? rows : at::constant_pad_nd(rows, {0, 0, 0, missing});
  return whole.view({panels, kPanelOutputs, rows.size(1)}).transpose(1, 2);
}

at::Tensor rows_of(const at::Tensor& weight) {
  return weight.reshape({weight.size(0), weight.numel() / weight.size(0)});
}

}  // namespace

at::Tensor pack_matrix(const at::Tensor& weight) {
  const at::Tensor panels = cut(rows_of(weight).contiguous());
  return weight.is_cuda() ? panels : panels.contiguous();
}

at::Tensor pack_depthwise(const at::Tensor& weight) { return cut(rows_of(weight)).contiguous(); }

at::Tensor pack_vector(const at::Tensor& values) {
  const int64_t missing = panels_of(values.size(0)) * kPanelOutputs - values.size(0);
  return missing == 0 ? values.contiguous() : at::constant_pad_nd(values, {0, missing});
}

}  // namespace freqfusion
