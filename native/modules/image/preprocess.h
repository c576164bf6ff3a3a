#pragma once

#include <array>

#include "native/modules/image/resize.h"
#include "native/modules/module.h"

namespace freqfusion {

// What happens to an image before the network, as a config file states it.
//
//   resize: null | {mode: 'keep-ratio', scale: [long, short], filter} | {mode: 'longest', size, filter}
//     keep-ratio is mmcv's Resize: the largest size of the same ratio whose longer side is at most max(scale) and
//     whose shorter side is at most min(scale). longest makes the longer side `size`. Sides are int(side * scale
//     + 0.5), at least 1. filter is 'bilinear' (default) or 'area'.
//   multiple: null | {divisor: 32, how: 'stretch' | 'pad'}
//     stretch is mmcv's ResizeToMultiple (bilinear); pad adds zeros right and bottom after normalisation.
//   mean, std: three numbers each, in RGB order on the 0..255 scale (default: ImageNet's).
struct PreprocessOptions {
  enum class Resize { none, keep_ratio, longest };
  Resize resize = Resize::none;
  int64_t long_side = 0, short_side = 0;  // longest uses long_side alone
  ImageFilter filter = ImageFilter::bilinear;
  int64_t divisor = 1;
  bool pad = false;
  std::array<double, 3> mean = {123.675, 116.28, 103.53};
  std::array<double, 3> std = {58.395, 57.12, 57.375};

  // ERR_OPTION_* for a wrong value.
  static PreprocessOptions parse(const Options& options);
  // The same with the target of `resize` multiplied, for test-time scales. An image that is not resized otherwise
  // becomes `ratio` times its own size.
  PreprocessOptions scaled(double ratio, ImageSize image) const;
};

// Sizes on the way to the network, known without a pixel.
struct PreparedSize {
  ImageSize resized;  // after `resize`
  ImageSize network;  // of the network's input
  ImageSize content;  // the part of the input that shows the image; the rest, right and bottom, is padding
  // content / image, by which coordinates in the input are divided to get those in the image. The two differ a
  // little, as each side is rounded by itself.
  float scale_x = 1, scale_y = 1;
};

PreparedSize prepared_size(ImageSize image, const PreprocessOptions& options);

struct PreparedImage {
  at::Tensor resized;   // uint8 [h, w, 3]
  at::Tensor multiple;  // uint8 [H, W, 3]; `resized` itself where nothing is stretched
  at::Tensor input;     // float32 [1, 3, H, W], normalised RGB, in channels-last memory
  ImageSize content;    // as in PreparedSize, as are the scales
  float scale_x = 1, scale_y = 1;
};

// image uint8 [H, W, 3] RGB on the CPU (ERR_DTYPE, ERR_SHAPE, ERR_DEVICE otherwise). `ratio` is a test-time
// scale (PreprocessOptions::scaled), `flip` mirrors the content horizontally. `pinned` puts the input where a GPU can
// fetch it while the CPU goes on.
PreparedImage prepare_image(const at::Tensor& image, const PreprocessOptions& options, double ratio = 1,
                            bool flip = false, bool pinned = false);

// Images of one size as the network takes them together.
struct PreparedBatch {
  at::Tensor input;   // float32 [N, 3, H, W], normalised RGB, in channels-last memory
  ImageSize content;  // as in PreparedSize
};

// prepare_image of each of `images` uint8 [N, H, W, 3], N from 1, straight into one input.
PreparedBatch prepare_images(const at::Tensor& images, const PreprocessOptions& options, double ratio = 1,
                             bool flip = false, bool pinned = false);

// The operator "preprocess": {image} -> {resized, multiple, input}, as in PreparedImage.
NamedTensors preprocess(const NamedTensors& inputs, const Options& options);

// The operator "preprocess_sizes": sizes int64 [N, 2] (height, width) -> {resized, network: int64 [N, 2], scaleFactor:
// float32 [N, 4] (x, y, x, y, as mmdetection has it)}.
NamedTensors preprocess_sizes(const NamedTensors& inputs, const Options& options);

}  // namespace freqfusion
