#pragma once

// Checks of the operators that take weights in panels (panels.h).

#include "native/ops/check.h"
#include "native/ops/panels.h"

namespace freqfusion {

// What a backend takes. On a CPU 16-bit maps are converted by the caller, once: these operators exist so that values
// stay in the registers. A GPU computes 16-bit maps in 16 bits, its sums in float32.
enum class PanelTypes { wide, floating };

inline void check_panel_input(const at::Tensor& x, const char* name, PanelTypes types) {
  check_rank4(x, name, "[N, C, H, W]");
  if (types == PanelTypes::floating) return check_floating(x, name);
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble, "expected float32 or float64 for ", name,
              ", got ", x.scalar_type());
}

// [ceil(channels / 16), rows, 16].
inline void check_panels(const at::Tensor& x, const at::Tensor& panels, const char* name, int64_t channels,
                         const c10::SymInt& rows) {
  check_same_kind(x, "x", panels, name);
  const c10::SymInt sizes[] = {panels_of(channels), rows, kPanelOutputs};
  check_sizes(panels, sizes, name);
}

// [ceil(channels / 16) * 16].
inline void check_panel_vector(const at::Tensor& x, const at::Tensor& values, const char* name, int64_t channels) {
  check_same_kind(x, "x", values, name);
  const c10::SymInt sizes[] = {panels_of(channels) * kPanelOutputs};
  check_sizes(values, sizes, name);
}

}  // namespace freqfusion
