#include "native/ops/mask_paste.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "native/ops/accumulator.h"
#include "native/ops/check.h"
#include "native/ops/mask_paste_check.h"

namespace freqfusion {
namespace {

using PasteSignature = at::Tensor(const at::Tensor&, const at::Tensor&, int64_t, int64_t, bool);
using RunsSignature = std::tuple<at::Tensor, at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&, int64_t,
                                                                     int64_t, double);

at::Tensor paste_meta(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width, bool) {
  check_mask_paste(masks, boxes, height, width);
  return at::empty_symint({masks.sym_size(0), height, width}, masks.options().dtype(paste_dtype(masks)));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> runs_meta(const at::Tensor& masks, const at::Tensor& boxes,
                                                         int64_t height, int64_t width, double threshold) {
  check_mask_runs(masks, boxes, height, width, threshold);
  TORCH_CHECK_NOT_IMPLEMENTED(false, "mask_runs has no shape function: how many runs there are depends on the values");
}

}  // namespace

at::Tensor mask_paste(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width,
                      bool skip_empty) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::mask_paste", "").typed<PasteSignature>();
  return op.call(masks, boxes, height, width, skip_empty);
}

MaskRuns mask_runs(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width, double threshold) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("freqfusion::mask_runs", "").typed<RunsSignature>();
  auto [runs, starts, areas] = op.call(masks, boxes, height, width, threshold);
  return {std::move(runs), std::move(starts), std::move(areas)};
}

PasteWindow box_window(double x1, double y1, double x2, double y2, int64_t height, int64_t width) {
  // NaN fails the comparisons as well.
  if (!(x2 >= x1 && y2 >= y1) || !std::isfinite(x1 + y1 + x2 + y2)) return {0, 0, 0, 0};
  const auto low = [](double at, int64_t size) {
    return static_cast<int64_t>(std::clamp(std::floor(at) - 1, 0.0, static_cast<double>(size)));
  };
  const auto high = [](double at, int64_t size) {
    return static_cast<int64_t>(std::clamp(std::ceil(at) + 1, 0.0, static_cast<double>(size)));
  };
  const PasteWindow window{low(y1, height), high(y2, height), low(x1, width), high(x2, width)};
  return window.top < window.bottom && window.left < window.right ? window : PasteWindow{0, 0, 0, 0};
}

PasteWindow paste_window(const at::Tensor& boxes, int64_t height, int64_t width) {
  check_boxes(boxes);
  check_canvas(height, width);
  const at::Tensor host = boxes.to(at::kCPU, at::kDouble).contiguous();
  const double* box = host.const_data_ptr<double>();
  double low[2] = {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  double high[2] = {-low[0], -low[1]};
  for (int64_t k = 0; k < boxes.size(0); ++k, box += 4) {
    if (!std::isfinite(box[0] + box[1] + box[2] + box[3])) continue;
    for (int axis = 0; axis < 2; ++axis) {
      low[axis] = std::min(low[axis], box[axis]);
      high[axis] = std::max(high[axis], box[2 + axis]);
    }
  }
  return box_window(low[0], low[1], high[0], high[1], height, width);
}

at::ScalarType paste_dtype(const at::Tensor& masks) { return accumulator_type(masks.scalar_type()); }

void check_boxes(const at::Tensor& boxes) {
  TORCH_CHECK(boxes.dim() == 2 && boxes.sym_size(1) == 4, "expected shape [K, 4] for boxes, got ", boxes.sym_sizes());
  check_floating(boxes, "boxes");
}

void check_canvas(int64_t height, int64_t width) {
  check_range(height, 0, INT32_MAX, "height");
  check_range(width, 0, INT32_MAX, "width");
}

void check_mask_paste(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width) {
  TORCH_CHECK(masks.dim() == 3, "expected 3 dimensions [K, h, w] for masks, got ", masks.dim());
  check_floating(masks, "masks");
  TORCH_CHECK(
      masks.sym_size(1) >= 1 && masks.sym_size(2) >= 1 && masks.sym_size(1) <= 1 << 15 && masks.sym_size(2) <= 1 << 15,
      "expected sides of 1..32768 for masks, got ", masks.sym_sizes());
  check_boxes(boxes);
  TORCH_CHECK(boxes.sym_size(0) == masks.sym_size(0), "expected a box for each of the ", masks.sym_size(0),
              " masks for boxes, got ", boxes.sym_size(0));
  TORCH_CHECK(boxes.device() == masks.device(), "expected the device of masks (", masks.device(), ") for boxes, got ",
              boxes.device());
  check_canvas(height, width);
}

void check_mask_runs(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width,
                     double threshold) {
  check_mask_paste(masks, boxes, height, width);
  TORCH_CHECK(height == 0 || width <= INT32_MAX / height, "expected at most 2^31 - 1 pixels for height and width, got ",
              height, " x ", width);
  // At 0, which a small number is in float32, every pixel of the canvas would be set.
  const double used =
      paste_dtype(masks) == at::kDouble ? threshold : static_cast<double>(static_cast<float>(threshold));
  TORCH_CHECK(used > 0 && std::isfinite(used), "expected a number above 0 in ", paste_dtype(masks),
              " for threshold, got ", threshold);
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def("mask_paste(Tensor masks, Tensor boxes, int height, int width, bool skip_empty=True) -> Tensor");
  m.def(
      "mask_runs(Tensor masks, Tensor boxes, int height, int width, float threshold=0.5) -> (Tensor runs, Tensor "
      "starts, Tensor areas)");
}

TORCH_LIBRARY_IMPL(freqfusion, Meta, m) {
  m.impl("mask_paste", freqfusion::paste_meta);
  m.impl("mask_runs", freqfusion::runs_meta);
}

TORCH_LIBRARY_IMPL(freqfusion, Autograd, m) {
  m.impl("mask_paste", torch::autograd::autogradNotImplementedFallback());
  m.impl("mask_runs", torch::autograd::autogradNotImplementedFallback());
}
