#pragma once

// Where the bins of a box read its map. The average over a bin's bilinear samples is separable: it is a weighted sum
// over rows of weighted sums over columns, so the samples of a bin are folded into one weight a row and one a column.
// Computed without fused multiply-adds, whatever the kernels are compiled for: a box side that comes out a rounding
// error longer could get another row of samples.

#include <ATen/core/Tensor.h>

#include <vector>

#include "native/ops/cpu/roi_align_kernels.h"
#include "native/ops/roi_align.h"

namespace freqfusion::cpu {

// A map that boxes may be pooled from.
struct RoiSource {
  Map map;
  int64_t images, height, width;
  double spatial_scale;
};

// The plans of a run of boxes. A is the type of the boxes and weights: float or double.
template <typename A>
struct RoiPlans {
  std::vector<RoiPlan> rois;
  std::vector<int32_t> ends, taps, columns;
  std::vector<A> weights;
  int64_t most_columns = 0;

  // `roi` is (image, x1, y1, x2, y2) with a step between them, `index` its row of the output.
  void add(const A* roi, int64_t step, const RoiSource& source, int64_t index, const RoiAlignOptions& options);

  RoiRun run() const { return {rois.data(), ends.data(), taps.data(), weights.data(), columns.data()}; }
};

// Throws c10::Error for a box whose image is not 0..images-1.
void check_image_index(double image, int64_t images, int64_t index);

extern template struct RoiPlans<float>;
extern template struct RoiPlans<double>;

}  // namespace freqfusion::cpu
