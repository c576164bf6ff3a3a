#include "native/modules/detection/regions.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include "native/modules/error.h"
#include "native/modules/option_values.h"
#include "native/ops/roi_extractor.h"

namespace freqfusion {
namespace {

std::vector<double> pairs(const Options& options, const char* name, int64_t images, double first, double second) {
  std::vector<double> fallback;
  for (int64_t i = 0; i < images; ++i) fallback.insert(fallback.end(), {first, second});
  std::vector<double> values = options.numbers(name, fallback);
  bool valid = values.size() == fallback.size();
  for (const double value : values) valid = valid && value > 0 && value < 1e9;
  if (!valid) {
    throw Error::argument("ERR_OPTION_VALUE", name, std::to_string(2 * images) + " positive numbers, two an image",
                          std::to_string(values.size()) + " numbers");
  }
  return values;
}

}  // namespace

at::Tensor ImageMeta::scales(const at::Tensor& boxes) const {
  return at::tensor({scale_x, scale_y, scale_x, scale_y}, at::TensorOptions().dtype(at::kFloat)).to(boxes.options());
}

std::vector<ImageMeta> parse_metas(const Options& options, int64_t images, ImageSize input) {
  const auto height = static_cast<double>(input.height), width = static_cast<double>(input.width);
  const auto shown = pairs(options, "imgShapes", images, height, width);
  const auto original = pairs(options, "oriShapes", images, height, width);
  const auto scales = pairs(options, "scaleFactors", images, 1, 1);
  std::vector<ImageMeta> metas;
  for (size_t at = 0; at < shown.size(); at += 2) {
    const auto size = [at](const std::vector<double>& sides) {
      return ImageSize{static_cast<int64_t>(sides[at]), static_cast<int64_t>(sides[at + 1])};
    };
    metas.push_back({size(shown), size(original), static_cast<float>(scales[at]), static_cast<float>(scales[at + 1])});
  }
  return metas;
}

BoxCoderOptions parse_box_coder(const Options& options, const std::array<double, 4>& stds) {
  options.reject_unknown({"targetMeans", "targetStds"});
  BoxCoderOptions coder;
  constexpr const char* kWhat = "four numbers (x, y, width, height)";
  coder.means = numbers_option<4>(options, "targetMeans", {0, 0, 0, 0}, kWhat);
  coder.stds = numbers_option(options, "targetStds", stds, kWhat);
  return coder;
}

RoiExtractor::RoiExtractor(const Options& options, int64_t output_size) {
  options.reject_unknown({"outputSize", "samplingRatio", "featmapStrides", "finestScale"});
  const auto within = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return value;
    throw Error::argument("ERR_OPTION_VALUE", name,
                          "an integer from " + std::to_string(low) + " to " + std::to_string(high),
                          std::to_string(value));
  };
  align_.out_height = align_.out_width = within("outputSize", options.integer("outputSize", output_size), 1, 64);
  align_.sampling_ratio = within("samplingRatio", options.integer("samplingRatio", 0), 0, 64);
  for (const double stride : options.numbers("featmapStrides", {4, 8, 16, 32})) {
    if (!(stride > 0)) {
      throw Error::argument("ERR_OPTION_VALUE", "featmapStrides", "numbers above 0", std::to_string(stride));
    }
    scales_.push_back(1 / stride);
  }
  if (scales_.empty()) throw Error::argument("ERR_OPTION_VALUE", "featmapStrides", "at least one number", "none");
  finest_scale_ = options.number("finestScale", 56);
  if (!(finest_scale_ > 0)) {
    throw Error::argument("ERR_OPTION_VALUE", "finestScale", "a number above 0", std::to_string(finest_scale_));
  }
}

at::Tensor RoiExtractor::extract(const std::vector<at::Tensor>& levels, int64_t image, const at::Tensor& boxes) const {
  const at::Tensor rois = at::cat({at::full({boxes.size(0), 1}, image, boxes.options()), boxes}, 1);
  const std::vector<at::Tensor> read(levels.begin(), levels.begin() + static_cast<std::ptrdiff_t>(scales_.size()));
  return roi_extract(read, rois, scales_, align_, finest_scale_);
}

}  // namespace freqfusion
