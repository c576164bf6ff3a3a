#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "native/modules/image/resize.h"
#include "native/modules/options.h"
#include "native/ops/accumulator.h"
#include "native/ops/box_coder.h"
#include "native/ops/roi_align.h"

namespace freqfusion {

// Scores and coordinates of a network of whatever type: float32, or float64 where it computes in that. 16 bits do not
// tell neighbouring pixels of a photo apart.
inline at::Tensor wide(const at::Tensor& values) { return values.to(accumulator_type(values.scalar_type())); }

// Where an image lies in a network input, mmdetection's img_metas.
struct ImageMeta {
  ImageSize shown;     // the part of the input that shows the image (img_shape), at the top left
  ImageSize original;  // ori_shape
  float scale_x = 1, scale_y = 1;

  // [scale_x, scale_y, scale_x, scale_y], like `boxes` [..., 4].
  at::Tensor scales(const at::Tensor& boxes) const;
};

// One an image from the flat lists imgShapes, oriShapes and scaleFactors, two numbers each ([height, width] and
// [width, height]), as {imgShapes: [h0, w0, h1, w1, ...], ...}. Left out: the whole `input`, unscaled.
std::vector<ImageMeta> parse_metas(const Options& options, int64_t images, ImageSize input);

// How box regression is read (mmdetection's DeltaXYWHBBoxCoder). Options targetMeans, targetStds, four numbers each.
BoxCoderOptions parse_box_coder(const Options& options, const std::array<double, 4>& stds);

// Reads regions from the levels of a feature pyramid, each from the level that fits its size (mmdetection's
// SingleRoIExtractor).
class RoiExtractor {
 public:
  // Options: outputSize, samplingRatio 0, featmapStrides [4, 8, 16, 32], finestScale 56. ERR_OPTION_* for a wrong one.
  RoiExtractor(const Options& options, int64_t output_size);

  // levels [N, C, H, W], finest first, at least as many as strides; boxes [K, 4] of image `image` -> [K, C, side,
  // side].
  at::Tensor extract(const std::vector<at::Tensor>& levels, int64_t image, const at::Tensor& boxes) const;

  int64_t side() const { return align_.out_height; }
  size_t levels() const { return scales_.size(); }

 private:
  RoiAlignOptions align_;
  std::vector<double> scales_;
  double finest_scale_;
};

}  // namespace freqfusion
