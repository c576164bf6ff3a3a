#pragma once

#include <functional>
#include <vector>

#include "native/modules/image/postprocess.h"
#include "native/modules/image/preprocess.h"

namespace freqfusion {

// How an image goes through a segmentation network, by mmsegmentation's names: mode 'whole' (default), or 'slide'
// with crop [h, w] and stride [h, w], in pixels of the network input, where the logits of overlapping windows are
// averaged; ratios and flip run the image at several scales and mirrored, and average the probabilities
// (ade20k_repeat-MS: ratios .5 .75 1 1.25 1.5 1.75 with flip).
struct InferenceOptions {
  bool slide = false;
  ImageSize crop, stride;
  std::vector<double> ratios = {1};
  bool flip = false;

  // ERR_OPTION_* for a wrong value.
  static InferenceOptions parse(const Options& options);
};

// Normalised input [N, 3, H, W] -> logits [N, C, h, w].
using Network = std::function<at::Tensor(const at::Tensor&)>;

// Every view of the images, uint8 [N, H, W, 3], through the network: for each ratio the images, then their mirror
// images; every window of all images at once. `type` is where and in which dtype the network takes its input, prepared
// on the CPU.
std::vector<LogitView> infer_views(const at::Tensor& images, const PreprocessOptions& preprocess,
                                   const InferenceOptions& inference, const at::TensorOptions& type,
                                   const Network& network);

}  // namespace freqfusion
