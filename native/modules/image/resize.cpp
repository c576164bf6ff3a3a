#include "native/modules/image/resize.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace freqfusion {
namespace {

constexpr int kWeightOne = 2048;  // OpenCV's INTER_RESIZE_COEF_SCALE
constexpr int64_t kRowsPerTask = 8;

struct Image {
  const uint8_t* pixels;
  ImageSize size;
  int64_t channels;
  const uint8_t* row(int64_t y) const { return pixels + y * size.width * channels; }
};

// The two source positions of every output position and their fixed-point weights.
struct LinearAxis {
  std::vector<int64_t> first, second;
  std::vector<int> first_weight, second_weight;
};

// Columns clamp the position to the edge before they take the weights and rows clamp it after, as OpenCV does:
// the rounding of equal neighbours differs.
LinearAxis linear_axis(int64_t inputs, int64_t outputs, bool clamp_weights) {
  LinearAxis axis;
  const double scale = 1.0 / (static_cast<double>(outputs) / static_cast<double>(inputs));
  for (int64_t i = 0; i < outputs; ++i) {
    float fraction = static_cast<float>((static_cast<double>(i) + 0.5) * scale - 0.5);
    auto position = static_cast<int64_t>(std::floor(fraction));
    fraction -= static_cast<float>(position);
    if (clamp_weights && (position < 0 || position >= inputs - 1)) fraction = 0;
    axis.first.push_back(std::clamp<int64_t>(position, 0, inputs - 1));
    axis.second.push_back(std::clamp<int64_t>(position + 1, 0, inputs - 1));
    axis.first_weight.push_back(static_cast<int>(std::lrint((1.F - fraction) * kWeightOne)));
    axis.second_weight.push_back(static_cast<int>(std::lrint(fraction * kWeightOne)));
  }
  return axis;
}

void blend_columns(const uint8_t* row, const LinearAxis& columns, int64_t channels, int* out) {
  const auto width = static_cast<int64_t>(columns.first.size());
  for (int64_t x = 0; x < width; ++x) {
    const uint8_t* a = row + columns.first[x] * channels;
    const uint8_t* b = row + columns.second[x] * channels;
    const int wa = columns.first_weight[x], wb = columns.second_weight[x];
    for (int64_t c = 0; c < channels; ++c) out[x * channels + c] = a[c] * wa + b[c] * wb;
  }
}

void resize_bilinear(const Image& image, ImageSize size, uint8_t* out) {
  const LinearAxis columns = linear_axis(image.size.width, size.width, true);
  const LinearAxis rows = linear_axis(image.size.height, size.height, false);
  const int64_t length = size.width * image.channels;
  at::parallel_for(0, size.height, kRowsPerTask, [&](int64_t begin, int64_t end) {
    // The two blended source rows are kept from one output row to the next.
    std::vector<int> memory[2] = {std::vector<int>(length), std::vector<int>(length)};
    int64_t held[2] = {-1, -1};
    const auto blended = [&](int64_t y, int64_t other) -> int {
      for (int slot = 0; slot < 2; ++slot) {
        if (held[slot] == y) return slot;
      }
      const int slot = held[0] == other ? 1 : 0;
      blend_columns(image.row(y), columns, image.channels, memory[slot].data());
      held[slot] = y;
      return slot;
    };
    for (int64_t y = begin; y < end; ++y) {
      const int* a = memory[blended(rows.first[y], rows.second[y])].data();
      const int* b = memory[blended(rows.second[y], rows.first[y])].data();
      const int wa = rows.first_weight[y], wb = rows.second_weight[y];
      uint8_t* target = out + y * length;
      for (int64_t i = 0; i < length; ++i) {
        target[i] = static_cast<uint8_t>((((wa * (a[i] >> 4)) >> 16) + ((wb * (b[i] >> 4)) >> 16) + 2) >> 2);
      }
    }
  });
}

// The source positions that every output position covers, with the share of its area that each has.
struct AreaAxis {
  std::vector<int64_t> begin;         // first source position
  std::vector<size_t> weights_begin;  // where its weights start; the next entry is where they end
  std::vector<float> weights;
};

AreaAxis area_axis(int64_t inputs, int64_t outputs) {
  constexpr double negligible = 1e-3;  // a sliver that OpenCV leaves out
  AreaAxis axis;
  const double scale = 1.0 / (static_cast<double>(outputs) / static_cast<double>(inputs));
  for (int64_t i = 0; i < outputs; ++i) {
    const double from = static_cast<double>(i) * scale, to = from + scale;
    const double cell = std::min(scale, static_cast<double>(inputs) - from);
    const int64_t last = std::min(static_cast<int64_t>(std::floor(to)), inputs - 1);
    const int64_t first = std::min(static_cast<int64_t>(std::ceil(from)), last);
    const double before = static_cast<double>(first) - from, after = to - static_cast<double>(last);
    axis.weights_begin.push_back(axis.weights.size());
    axis.begin.push_back(before > negligible ? first - 1 : first);
    if (before > negligible) axis.weights.push_back(static_cast<float>(before / cell));
    for (int64_t j = first; j < last; ++j) axis.weights.push_back(static_cast<float>(1.0 / cell));
    if (after > negligible) axis.weights.push_back(static_cast<float>(std::min({after, 1.0, cell}) / cell));
  }
  axis.weights_begin.push_back(axis.weights.size());
  return axis;
}

uint8_t round_to_byte(float value) { return static_cast<uint8_t>(std::clamp<long>(std::lrint(value), 0, 255)); }

void resize_area(const Image& image, ImageSize size, uint8_t* out) {
  const AreaAxis columns = area_axis(image.size.width, size.width);
  const AreaAxis rows = area_axis(image.size.height, size.height);
  const int64_t channels = image.channels, length = size.width * channels;
  at::parallel_for(0, size.height, kRowsPerTask, [&](int64_t begin, int64_t end) {
    std::vector<float> sum(length);
    for (int64_t y = begin; y < end; ++y) {
      std::fill(sum.begin(), sum.end(), 0.F);
      const uint8_t* row = image.row(rows.begin[y]);
      for (size_t r = rows.weights_begin[y]; r < rows.weights_begin[y + 1]; ++r, row += image.size.width * channels) {
        for (int64_t x = 0; x < size.width; ++x) {
          for (int64_t c = 0; c < channels; ++c) {
            const uint8_t* pixel = row + columns.begin[x] * channels + c;
            float mean = 0;
            for (size_t w = columns.weights_begin[x]; w < columns.weights_begin[x + 1]; ++w, pixel += channels) {
              mean += static_cast<float>(*pixel) * columns.weights[w];
            }
            sum[x * channels + c] += mean * rows.weights[r];
          }
        }
      }
      std::transform(sum.begin(), sum.end(), out + y * length, round_to_byte);
    }
  });
}

// Both scales are whole numbers: integer sums, rounded as OpenCV rounds them.
void resize_area_whole(const Image& image, ImageSize size, uint8_t* out) {
  const int64_t channels = image.channels;
  const int64_t step_y = image.size.height / size.height, step_x = image.size.width / size.width;
  const bool halves = step_y == 2 && step_x == 2;
  const float share = 1.F / static_cast<float>(step_y * step_x);
  at::parallel_for(0, size.height, kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y) {
      for (int64_t i = 0; i < size.width * channels; ++i) {
        const int64_t column = (i / channels) * step_x * channels + i % channels;
        int64_t sum = 0;
        for (int64_t dy = 0; dy < step_y; ++dy) {
          const uint8_t* pixel = image.row(y * step_y + dy) + column;
          for (int64_t dx = 0; dx < step_x; ++dx) sum += pixel[dx * channels];
        }
        out[y * size.width * channels + i] =
            halves ? static_cast<uint8_t>((sum + 2) >> 2) : round_to_byte(static_cast<float>(sum) * share);
      }
    }
  });
}

}  // namespace

at::Tensor resize_image(const at::Tensor& image, ImageSize size, ImageFilter filter) {
  const Image source = {image.const_data_ptr<uint8_t>(), {image.size(0), image.size(1)}, image.size(2)};
  if (source.size == size) return image;
  at::Tensor output = at::empty({size.height, size.width, source.channels}, image.options());
  auto* out = output.mutable_data_ptr<uint8_t>();
  const bool shrinks = size.height <= source.size.height && size.width <= source.size.width;
  if (filter == ImageFilter::bilinear || !shrinks) {
    resize_bilinear(source, size, out);
  } else if (source.size.height % size.height == 0 && source.size.width % size.width == 0) {
    resize_area_whole(source, size, out);
  } else {
    resize_area(source, size, out);
  }
  return output;
}

}  // namespace freqfusion
