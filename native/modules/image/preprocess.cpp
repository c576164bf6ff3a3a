#include "native/modules/image/preprocess.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "native/modules/error.h"
#include "native/modules/option_values.h"

namespace freqfusion {
namespace {

int64_t positive(int64_t value, const char* name) {
  if (value < 1 || value > (int64_t{1} << 30)) {
    throw Error::argument("ERR_OPTION_VALUE", name, "a whole number from 1 to 2^30", std::to_string(value));
  }
  return value;
}

void parse_resize(const Options& options, PreprocessOptions& out) {
  const std::string mode = options.choice("mode", "keep-ratio", {"keep-ratio", "longest"});
  out.filter =
      options.choice("filter", "bilinear", {"bilinear", "area"}) == "area" ? ImageFilter::area : ImageFilter::bilinear;
  if (mode == "longest") {
    options.reject_unknown({"mode", "size", "filter"});
    out.resize = PreprocessOptions::Resize::longest;
    out.long_side = positive(options.integer("size"), "resize.size");
    return;
  }
  options.reject_unknown({"mode", "scale", "filter"});
  const auto scale = options.integers("scale", {});
  if (scale.size() != 2) {
    throw Error::argument("ERR_OPTION_VALUE", "resize.scale", "[long side, short side]",
                          std::to_string(scale.size()) + " numbers");
  }
  out.resize = PreprocessOptions::Resize::keep_ratio;
  out.long_side = positive(std::max(scale[0], scale[1]), "resize.scale");
  out.short_side = positive(std::min(scale[0], scale[1]), "resize.scale");
}

int64_t scaled_side(int64_t side, double scale) {
  return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(side) * scale + 0.5));
}

ImageSize resized_size(ImageSize image, const PreprocessOptions& options) {
  const auto longer = static_cast<double>(std::max(image.height, image.width));
  const auto shorter = static_cast<double>(std::min(image.height, image.width));
  double scale = static_cast<double>(options.long_side) / longer;
  if (options.resize == PreprocessOptions::Resize::none) return image;
  if (options.resize == PreprocessOptions::Resize::keep_ratio) {
    scale = std::min(scale, static_cast<double>(options.short_side) / shorter);
  }
  return {scaled_side(image.height, scale), scaled_side(image.width, scale)};
}

int64_t up_to_multiple(int64_t side, int64_t divisor) { return (side + divisor - 1) / divisor * divisor; }

// Every normalised value of a channel: (level - mean) * (1 / std), rounded to float32 after each step as cv2 does.
std::array<float, 256> normalised_levels(double mean, double std) {
  std::array<float, 256> levels{};
  const auto centre = static_cast<double>(static_cast<float>(mean));
  const double factor = 1.0 / static_cast<double>(static_cast<float>(std));
  for (size_t level = 0; level < levels.size(); ++level) {
    const auto difference = static_cast<float>(static_cast<double>(level) - centre);
    levels[level] = static_cast<float>(static_cast<double>(difference) * factor);
  }
  return levels;
}

// Network inputs [count, 3, height, width] of values to come, in channels-last memory as the network takes it.
at::Tensor empty_input(int64_t count, ImageSize size, bool pinned) {
  const auto type = at::TensorOptions(at::kCPU).dtype(at::kFloat).pinned_memory(pinned);
  return at::empty({count, 3, size.height, size.width}, type, at::MemoryFormat::ChannelsLast);
}

// image uint8 [h, w, 3] -> one image [size.height, size.width, 3] of an input at `values`; zeros right and below it.
void normalise(const at::Tensor& image, ImageSize size, const PreprocessOptions& options, bool flip, float* values) {
  const int64_t height = image.size(0), width = image.size(1);
  const std::array<float, 256> levels[3] = {normalised_levels(options.mean[0], options.std[0]),
                                            normalised_levels(options.mean[1], options.std[1]),
                                            normalised_levels(options.mean[2], options.std[2])};
  const auto* pixels = image.const_data_ptr<uint8_t>();
  at::parallel_for(0, size.height, 16, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y) {
      float* row = values + y * size.width * 3;
      const int64_t shown = y < height ? width : 0;
      const uint8_t* pixel = pixels + y * width * 3;
      for (int64_t x = 0; x < shown; ++x, pixel += 3) {
        float* target = row + (flip ? width - 1 - x : x) * 3;
        for (int64_t c = 0; c < 3; ++c) target[c] = levels[c][pixel[c]];
      }
      std::fill(row + shown * 3, row + size.width * 3, 0.F);
    }
  });
}

void check_image(const at::Tensor& image) {
  if (image.scalar_type() != at::kByte) {
    throw Error::argument("ERR_DTYPE", "image", "uint8", dtype_text(image.scalar_type()));
  }
  if (image.dim() != 3 || image.size(2) != 3 || image.size(0) < 1 || image.size(1) < 1) {
    throw Error::argument("ERR_SHAPE", "image", "[H, W, 3] with H and W from 1", shape_text(image));
  }
  if (!image.device().is_cpu()) {
    throw Error::argument("ERR_DEVICE", "image", "a tensor on the CPU", image.device().str());
  }
}

}  // namespace

PreprocessOptions PreprocessOptions::parse(const Options& options) {
  options.reject_unknown({"resize", "multiple", "mean", "std"});
  PreprocessOptions parsed;
  if (options.has("resize")) parse_resize(options.child("resize"), parsed);
  if (options.has("multiple")) {
    const Options multiple = options.child("multiple");
    multiple.reject_unknown({"divisor", "how"});
    parsed.divisor = positive(multiple.integer("divisor", 32), "multiple.divisor");
    parsed.pad = multiple.choice("how", "stretch", {"stretch", "pad"}) == "pad";
  }
  parsed.mean = numbers_option(options, "mean", parsed.mean, "three numbers (RGB)");
  parsed.std = numbers_option(options, "std", parsed.std, "three numbers (RGB)");
  for (const double value : parsed.std) {
    if (!(value > 0)) throw Error::argument("ERR_OPTION_VALUE", "std", "positive numbers", std::to_string(value));
  }
  return parsed;
}

PreprocessOptions PreprocessOptions::scaled(double ratio, ImageSize image) const {
  PreprocessOptions result = *this;
  if (ratio == 1) return result;
  if (resize == Resize::none) {
    result.resize = Resize::keep_ratio;
    result.long_side = std::max(image.height, image.width);
    result.short_side = std::min(image.height, image.width);
  }
  const auto times = [ratio](int64_t side) {
    return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(side) * ratio));
  };
  result.long_side = times(result.long_side);
  result.short_side = times(result.short_side);
  return result;
}

PreparedSize prepared_size(ImageSize image, const PreprocessOptions& options) {
  PreparedSize size;
  size.resized = resized_size(image, options);
  size.network = {up_to_multiple(size.resized.height, options.divisor),
                  up_to_multiple(size.resized.width, options.divisor)};
  size.content = options.pad ? size.resized : size.network;
  const auto quotient = [](int64_t side, int64_t of) {
    return static_cast<float>(static_cast<double>(side) / static_cast<double>(of));
  };
  size.scale_x = quotient(size.content.width, image.width);
  size.scale_y = quotient(size.content.height, image.height);
  return size;
}

PreparedImage prepare_image(const at::Tensor& image, const PreprocessOptions& base, double ratio, bool flip,
                            bool pinned) {
  check_image(image);
  PreparedImage prepared;
  const ImageSize original = {image.size(0), image.size(1)};
  const PreprocessOptions options = base.scaled(ratio, original);
  const PreparedSize size = prepared_size(original, options);
  prepared.resized = resize_image(image.contiguous(), size.resized, options.filter);
  prepared.multiple =
      options.pad ? prepared.resized : resize_image(prepared.resized, size.network, ImageFilter::bilinear);
  prepared.content = size.content;
  prepared.scale_x = size.scale_x;
  prepared.scale_y = size.scale_y;
  prepared.input = empty_input(1, size.network, pinned);
  normalise(prepared.multiple, size.network, options, flip, prepared.input.mutable_data_ptr<float>());
  return prepared;
}

PreparedBatch prepare_images(const at::Tensor& images, const PreprocessOptions& base, double ratio, bool flip,
                             bool pinned) {
  if (images.dim() != 4 || images.size(0) < 1) {
    throw Error::argument("ERR_SHAPE", "image", "[N, H, W, 3] with N, H and W from 1", shape_text(images));
  }
  check_image(images[0]);
  const ImageSize original = {images.size(1), images.size(2)};
  const PreprocessOptions options = base.scaled(ratio, original);
  const PreparedSize size = prepared_size(original, options);
  PreparedBatch prepared = {empty_input(images.size(0), size.network, pinned), size.content};
  auto* values = prepared.input.mutable_data_ptr<float>();
  for (int64_t n = 0; n < images.size(0); ++n) {
    at::Tensor image = resize_image(images[n].contiguous(), size.resized, options.filter);
    if (!options.pad) image = resize_image(image, size.network, ImageFilter::bilinear);
    normalise(image, size.network, options, flip, values + n * 3 * size.network.height * size.network.width);
  }
  return prepared;
}

NamedTensors preprocess(const NamedTensors& inputs, const Options& options) {
  const PreparedImage prepared = prepare_image(inputs.require("image"), PreprocessOptions::parse(options));
  NamedTensors outputs;
  outputs.add("resized", prepared.resized);
  outputs.add("multiple", prepared.multiple);
  outputs.add("input", prepared.input);
  return outputs;
}

NamedTensors preprocess_sizes(const NamedTensors& inputs, const Options& options) {
  const at::Tensor sizes = inputs.require("sizes");
  if (sizes.scalar_type() != at::kLong) {
    throw Error::argument("ERR_DTYPE", "sizes", "int64", dtype_text(sizes.scalar_type()));
  }
  if (sizes.dim() != 2 || sizes.size(1) != 2) throw Error::argument("ERR_SHAPE", "sizes", "[N, 2]", shape_text(sizes));
  if (!sizes.device().is_cpu()) {
    throw Error::argument("ERR_DEVICE", "sizes", "a tensor on the CPU", sizes.device().str());
  }
  const PreprocessOptions parsed = PreprocessOptions::parse(options);
  const at::Tensor given = sizes.contiguous();
  const int64_t count = given.size(0);
  at::Tensor resized = at::empty({count, 2}, given.options());
  at::Tensor network = at::empty({count, 2}, given.options());
  at::Tensor scale = at::empty({count, 4}, given.options().dtype(at::kFloat));
  const auto* sides = given.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    const ImageSize image = {positive(sides[2 * i], "sizes"), positive(sides[2 * i + 1], "sizes")};
    const PreparedSize size = prepared_size(image, parsed);
    auto* to_resized = resized.mutable_data_ptr<int64_t>() + 2 * i;
    auto* to_network = network.mutable_data_ptr<int64_t>() + 2 * i;
    auto* to_scale = scale.mutable_data_ptr<float>() + 4 * i;
    to_resized[0] = size.resized.height, to_resized[1] = size.resized.width;
    to_network[0] = size.network.height, to_network[1] = size.network.width;
    to_scale[0] = to_scale[2] = size.scale_x, to_scale[1] = to_scale[3] = size.scale_y;
  }
  NamedTensors outputs;
  outputs.add("resized", resized);
  outputs.add("network", network);
  outputs.add("scaleFactor", scale);
  return outputs;
}

}  // namespace freqfusion
