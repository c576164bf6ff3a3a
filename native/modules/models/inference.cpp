#include "native/modules/models/inference.h"

#include <algorithm>
#include <string>

#include "native/modules/error.h"
#include "native/modules/option_values.h"

namespace freqfusion {
namespace {

// Starts of windows of `crop` that cover `side` at `stride`; the last one ends at the edge.
std::vector<int64_t> window_starts(int64_t side, int64_t crop, int64_t stride) {
  std::vector<int64_t> starts;
  const int64_t count = std::max<int64_t>(side - crop + stride - 1, 0) / stride + 1;
  for (int64_t i = 0; i < count; ++i) starts.push_back(std::max<int64_t>(std::min(i * stride, side - crop), 0));
  return starts;
}

LogitWindow infer_window(const at::Tensor& input, int64_t top, int64_t left, ImageSize size, const Network& network) {
  const at::Tensor crop = input.narrow(2, top, size.height).narrow(3, left, size.width);
  return {network(crop), top, left, size};
}

LogitView infer_view(const PreparedBatch& images, bool flip, const InferenceOptions& options, const Network& network) {
  LogitView view;
  view.network = {images.input.size(2), images.input.size(3)};
  view.content = images.content;
  view.flip = flip;
  if (!options.slide) {
    view.windows.push_back(infer_window(images.input, 0, 0, view.network, network));
    return view;
  }
  const ImageSize crop = {std::min(options.crop.height, view.network.height),
                          std::min(options.crop.width, view.network.width)};
  for (const int64_t top : window_starts(view.network.height, crop.height, options.stride.height)) {
    for (const int64_t left : window_starts(view.network.width, crop.width, options.stride.width)) {
      view.windows.push_back(infer_window(images.input, top, left, crop, network));
    }
  }
  return view;
}

}  // namespace

InferenceOptions InferenceOptions::parse(const Options& options) {
  options.reject_unknown({"mode", "crop", "stride", "ratios", "flip"});
  InferenceOptions parsed;
  parsed.slide = options.choice("mode", "whole", {"whole", "slide"}) == "slide";
  if (parsed.slide) {
    parsed.crop = size_option(options, "crop");
    parsed.stride = size_option(options, "stride");
    if (parsed.stride.height > parsed.crop.height || parsed.stride.width > parsed.crop.width) {
      throw Error::argument("ERR_OPTION_VALUE", "stride", "at most the crop (every pixel in a window)",
                            std::to_string(parsed.stride.height) + " x " + std::to_string(parsed.stride.width));
    }
  }
  parsed.ratios = options.numbers("ratios", parsed.ratios);
  for (const double ratio : parsed.ratios) {
    if (!(ratio > 0) || ratio > 16) {
      throw Error::argument("ERR_OPTION_VALUE", "ratios", "numbers above 0 and at most 16", std::to_string(ratio));
    }
  }
  if (parsed.ratios.empty()) throw Error::argument("ERR_OPTION_VALUE", "ratios", "at least one number", "none");
  parsed.flip = options.boolean("flip", false);
  return parsed;
}

std::vector<LogitView> infer_views(const at::Tensor& images, const PreprocessOptions& preprocess,
                                   const InferenceOptions& inference, const at::TensorOptions& type,
                                   const Network& network) {
  const bool pinned = type.device().is_cuda();
  std::vector<LogitView> views;
  for (const double ratio : inference.ratios) {
    for (const bool flip : {false, true}) {
      if (flip && !inference.flip) continue;
      PreparedBatch prepared = prepare_images(images, preprocess, ratio, flip, pinned);
      prepared.input = prepared.input.to(type, /*non_blocking=*/pinned);
      views.push_back(infer_view(prepared, flip, inference, network));
    }
  }
  return views;
}

}  // namespace freqfusion
