#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "native/modules/image/resize.h"

namespace freqfusion {

// The logits of one window of a network input and where the window lies in it, for all images of a batch.
struct LogitWindow {
  at::Tensor logits;  // [N, C, h, w], any floating dtype and device
  int64_t top = 0, left = 0;
  ImageSize size;  // in pixels of the network input
};

// One pass of images through a network: the whole input as one window, or windows whose logits are averaged
// where they overlap.
struct LogitView {
  std::vector<LogitWindow> windows;
  ImageSize network;  // size of the network input
  ImageSize content;  // the part of it that shows the image (top left); the rest is padding and is cropped
  bool flip = false;  // the input was mirrored: the result is mirrored back
};

struct SegmentationRequest {
  bool labels = true, scores = false, probabilities = false;
};

// Undefined where not asked for.
struct SegmentationMaps {
  at::Tensor labels;         // uint8 [N, H, W]; int32 above 256 classes
  at::Tensor scores;         // float32 [N, H, W], the probability of the label
  at::Tensor probabilities;  // float32 [N, C, H, W]
};

// Logits -> bilinear to the network input's size -> crop to the content -> bilinear to `size` -> softmax ->
// mirrored back -> mean over the views -> argmax: mmsegmentation's inference, image by image, without ever holding
// [C, H, W] unless the probabilities are asked for. Rows are computed in parallel. A single view skips the softmax
// where labels alone are wanted. On equal values the lowest class wins.
SegmentationMaps segmentation_maps(const std::vector<LogitView>& views, ImageSize size,
                                   const SegmentationRequest& request, bool align_corners = false);

}  // namespace freqfusion
