#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "native/ops/cpu/mask_axis.h"
#include "native/ops/mask_paste_check.h"

namespace freqfusion::cpu {
namespace {

// The runs of one mask while they are written: zeros and ones in turn, zeros first.
class RunWriter {
 public:
  void add(bool set, int64_t count) {
    if (set) area_ += count;
    if (set == set_) {
      length_ += count;
    } else if (count > 0) {
      runs_.push_back(static_cast<int32_t>(length_));
      set_ = set;
      length_ = count;
    }
  }

  void finish() { runs_.push_back(static_cast<int32_t>(length_)); }

  const std::vector<int32_t>& runs() const { return runs_; }
  int64_t area() const { return area_; }

 private:
  std::vector<int32_t> runs_;
  int64_t length_ = 0, area_ = 0;
  bool set_ = false;
};

// Pixels of a column that lie between the same two texels.
struct Segment {
  int64_t begin, end;  // places in the axis
  int32_t below, above;
  bool inner;  // both texels are on the mask
};

template <typename A>
std::vector<Segment> segments_of(const MaskAxis<A>& y) {
  std::vector<Segment> segments;
  for (int64_t j = 0; j < y.length(); ++j) {
    const auto at = static_cast<size_t>(j);
    const bool inner = y.below[at] != y.above[at];
    if (segments.empty() || !inner || !segments.back().inner || segments.back().below != y.below[at]) {
      segments.push_back({j, j, y.below[at], y.above[at], inner});
    }
    segments.back().end = j + 1;
  }
  return segments;
}

// One column of the canvas. Between two texels the value runs from the one to the other, so that most segments are
// decided at their ends; those near the threshold are computed pixel by pixel, as mask_paste computes them.
template <typename A>
void write_column(const std::vector<A>& texels, const MaskAxis<A>& y, const std::vector<Segment>& segments, A threshold,
                  RunWriter& writer) {
  for (const Segment& segment : segments) {
    const A below = texels[static_cast<size_t>(segment.below)], above = texels[static_cast<size_t>(segment.above)];
    // A minimum would hide a NaN, which takes every pixel between the two.
    if (segment.inner && !std::isnan(below) && !std::isnan(above)) {
      const A low = std::min(below, above), high = std::max(below, above);
      const A slack = 8 * std::numeric_limits<A>::epsilon() * std::max(std::abs(low), std::abs(high));
      if (low - slack >= threshold || high + slack < threshold) {
        writer.add(low - slack >= threshold, segment.end - segment.begin);
        continue;
      }
    }
    for (int64_t j = segment.begin; j < segment.end; ++j) {
      const auto at = static_cast<size_t>(j);
      writer.add(y.below_weight[at] * below + y.above_weight[at] * above >= threshold, 1);
    }
  }
}

template <typename A>
void write_runs(const A* mask, int64_t rows, int64_t columns, const A* box, int64_t height, int64_t width, A threshold,
                RunWriter& writer) {
  const PasteWindow window = box_window(box[0], box[1], box[2], box[3], height, width);
  MaskAxis<A> x, y;
  x.place(box[0], box[2], columns, window.left, window.right);
  y.place(box[1], box[3], rows, window.top, window.bottom);
  if (x.length() > 0 && y.length() > 0) {
    const std::vector<Segment> segments = segments_of(y);
    std::vector<A> turned(static_cast<size_t>(rows * columns)), texels(static_cast<size_t>(rows));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) turned[static_cast<size_t>(c * rows + r)] = mask[r * columns + c];
    }
    writer.add(false, x.first * height);
    for (int64_t i = 0; i < x.length(); ++i) {
      const auto at = static_cast<size_t>(i);
      const A *left = turned.data() + x.below[at] * rows, *right = turned.data() + x.above[at] * rows;
      const A left_weight = x.below_weight[at], right_weight = x.above_weight[at];
      for (int64_t r = 0; r < rows; ++r) {
        texels[static_cast<size_t>(r)] = left_weight * left[r] + right_weight * right[r];
      }
      writer.add(false, y.first);
      write_column(texels, y, segments, threshold, writer);
      writer.add(false, height - y.last);
    }
    writer.add(false, (width - x.last) * height);
  } else {
    writer.add(false, height * width);
  }
  writer.finish();
}

template <typename A>
std::vector<RunWriter> runs_of(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width,
                               double threshold) {
  const auto type = c10::CppTypeToScalarType<A>::value;
  const at::Tensor mask = masks.to(at::kCPU, type).contiguous(), box = boxes.to(at::kCPU, type).contiguous();
  const int64_t rows = masks.size(1), columns = masks.size(2);
  std::vector<RunWriter> writers(static_cast<size_t>(masks.size(0)));
  at::parallel_for(0, masks.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      write_runs<A>(mask.const_data_ptr<A>() + k * rows * columns, rows, columns, box.const_data_ptr<A>() + 4 * k,
                    height, width, static_cast<A>(threshold), writers[static_cast<size_t>(k)]);
    }
  });
  return writers;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> mask_runs_cpu(const at::Tensor& masks, const at::Tensor& boxes,
                                                             int64_t height, int64_t width, double threshold) {
  check_mask_runs(masks, boxes, height, width, threshold);
  const std::vector<RunWriter> writers = paste_dtype(masks) == at::kDouble
                                             ? runs_of<double>(masks, boxes, height, width, threshold)
                                             : runs_of<float>(masks, boxes, height, width, threshold);
  const int64_t count = masks.size(0);
  const at::Tensor starts = at::empty({count + 1}, at::kLong), areas = at::empty({count}, at::kLong);
  int64_t* start = starts.mutable_data_ptr<int64_t>();
  start[0] = 0;
  for (int64_t k = 0; k < count; ++k) {
    const RunWriter& writer = writers[static_cast<size_t>(k)];
    start[k + 1] = start[k] + static_cast<int64_t>(writer.runs().size());
    areas.mutable_data_ptr<int64_t>()[k] = writer.area();
  }
  const at::Tensor runs = at::empty({start[count]}, at::kInt);
  for (int64_t k = 0; k < count; ++k) {
    const std::vector<int32_t>& from = writers[static_cast<size_t>(k)].runs();
    std::copy(from.begin(), from.end(), runs.mutable_data_ptr<int32_t>() + start[k]);
  }
  return {runs, starts, areas};
}

}  // namespace
}  // namespace freqfusion::cpu

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("mask_runs", freqfusion::cpu::mask_runs_cpu); }
// A canvas is nothing for a GPU to hold: the small masks come to the CPU.
TORCH_LIBRARY_IMPL(freqfusion, CUDA, m) { m.impl("mask_runs", freqfusion::cpu::mask_runs_cpu); }
