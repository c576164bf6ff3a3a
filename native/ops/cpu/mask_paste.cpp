#include "native/ops/mask_paste.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "native/ops/cpu/mask_axis.h"
#include "native/ops/mask_paste_check.h"

namespace freqfusion::cpu {
namespace {

// Rows of the canvas that one task writes, and columns that it works on at a time.
constexpr int64_t kBand = 128, kTile = 256;

// Masks and boxes in the type that is computed in, rows side by side.
template <typename A>
struct Sheets {
  at::Tensor masks, boxes;
  int64_t count, rows, columns, height, width;

  Sheets(const at::Tensor& of_masks, const at::Tensor& of_boxes, int64_t canvas_height, int64_t canvas_width)
      : masks(of_masks.to(c10::CppTypeToScalarType<A>::value).contiguous()),
        boxes(of_boxes.to(c10::CppTypeToScalarType<A>::value).contiguous()),
        count(masks.size(0)),
        rows(masks.size(1)),
        columns(masks.size(2)),
        height(canvas_height),
        width(canvas_width) {}

  const A* mask(int64_t k) const { return masks.const_data_ptr<A>() + k * rows * columns; }
  const A* box(int64_t k) const { return boxes.const_data_ptr<A>() + 4 * k; }

  // The pixels that box k may write.
  PasteWindow window(int64_t k, bool tight) const {
    const A* at = box(k);
    const PasteWindow whole{0, height, 0, width};
    if (tight) return box_window(at[0], at[1], at[2], at[3], height, width);
    const bool pastes = at[2] >= at[0] && at[3] >= at[1] && std::isfinite(at[0] + at[1] + at[2] + at[3]);
    return pastes ? whole : PasteWindow{0, 0, 0, 0};
  }
};

// One tile of columns of one band of rows: the mask is first stretched along x, row by row, then along y.
template <typename A>
void paste_tile(const A* mask, int64_t mask_columns, const MaskAxis<A>& x, const MaskAxis<A>& y, int64_t from,
                int64_t count, A* stretched, A* out, int64_t width) {
  const int64_t first_row = y.below.front();
  const int64_t rows = y.above.back() - first_row + 1;
  for (int64_t r = 0; r < rows; ++r) {
    const A* row = mask + (first_row + r) * mask_columns;
    for (int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<size_t>(from + i);
      stretched[r * kTile + i] = x.below_weight[at] * row[x.below[at]] + x.above_weight[at] * row[x.above[at]];
    }
  }
  for (int64_t j = 0; j < y.length(); ++j) {
    const auto at = static_cast<size_t>(j);
    const A* below = stretched + (y.below[at] - first_row) * kTile;
    const A* above = stretched + (y.above[at] - first_row) * kTile;
    const A below_weight = y.below_weight[at], above_weight = y.above_weight[at];
    A* to = out + (y.first + j) * width + x.first + from;
    for (int64_t i = 0; i < count; ++i) to[i] = below_weight * below[i] + above_weight * above[i];
  }
}

template <typename A>
void paste(const Sheets<A>& sheets, bool tight, A* canvas) {
  const int64_t bands = (sheets.height + kBand - 1) / kBand;
  at::parallel_for(0, sheets.count * bands, 1, [&](int64_t begin, int64_t end) {
    MaskAxis<A> x, y;
    std::vector<A> stretched;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t k = task / bands, top = task % bands * kBand;
      const int64_t bottom = std::min(sheets.height, top + kBand);
      A* out = canvas + k * sheets.height * sheets.width;
      std::fill(out + top * sheets.width, out + bottom * sheets.width, A(0));
      const PasteWindow window = sheets.window(k, tight);
      if (window.bottom <= top || window.top >= bottom) continue;
      const A* box = sheets.box(k);
      y.place(box[1], box[3], sheets.rows, std::max(top, window.top), std::min(bottom, window.bottom));
      x.place(box[0], box[2], sheets.columns, window.left, window.right);
      if (y.length() == 0) continue;
      stretched.resize(static_cast<size_t>((y.above.back() - y.below.front() + 1) * kTile));
      for (int64_t from = 0; from < x.length(); from += kTile) {
        paste_tile(sheets.mask(k), sheets.columns, x, y, from, std::min(kTile, x.length() - from), stretched.data(),
                   out, sheets.width);
      }
    }
  });
}

at::Tensor paste_cpu(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width, bool skip_empty) {
  check_mask_paste(masks, boxes, height, width);
  const at::Tensor canvas = at::empty({masks.size(0), height, width}, masks.options().dtype(paste_dtype(masks)));
  if (canvas.numel() == 0) return canvas;
  if (canvas.scalar_type() == at::kDouble) {
    paste(Sheets<double>(masks, boxes, height, width), skip_empty, canvas.mutable_data_ptr<double>());
  } else {
    paste(Sheets<float>(masks, boxes, height, width), skip_empty, canvas.mutable_data_ptr<float>());
  }
  return canvas;
}

}  // namespace
}  // namespace freqfusion::cpu

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("mask_paste", freqfusion::cpu::paste_cpu); }
