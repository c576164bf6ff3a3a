#pragma once

#include <ATen/core/Tensor.h>

namespace freqfusion {

struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;
  bool operator==(const ImageSize&) const = default;
};

// How an 8-bit image is resized, with the rounding of OpenCV's resize.
//   bilinear: INTER_LINEAR, half-pixel centres, no antialiasing, 11-bit fixed-point weights.
//   area: INTER_AREA, the exact mean of the covered area. It only shrinks: where a side grows, bilinear is used.
enum class ImageFilter { bilinear, area };

// image uint8 [H, W, C], contiguous, on the CPU -> uint8 [size.height, size.width, C]; the image itself where the
// size is its own.
at::Tensor resize_image(const at::Tensor& image, ImageSize size, ImageFilter filter);

}  // namespace freqfusion
