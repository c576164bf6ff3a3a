#include "native/ops/box_coder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <torch/library.h>

#include <cmath>
#include <vector>

#include "native/ops/accumulator.h"
#include "native/ops/check.h"

namespace freqfusion {
namespace {

at::Tensor four_numbers(const std::array<double, 4>& values, const at::Tensor& like) {
  const at::Tensor host = at::empty({4}, at::kDouble);
  for (size_t i = 0; i < 4; ++i) host.mutable_data_ptr<double>()[i] = values[i];
  return host.to(like.options());
}

void check_four(const at::Tensor& tensor, const char* name) {
  TORCH_CHECK(tensor.dim() >= 1 && tensor.size(-1) == 4, "expected shape [..., 4] for ", name, ", got ",
              tensor.sizes());
  check_floating(tensor, name);
}

void check_numbers(const BoxCoderOptions& options) {
  for (const double std : options.stds) {
    TORCH_CHECK(std::isfinite(std) && std != 0, "expected numbers other than 0 for stds, got ", std);
  }
  for (const double mean : options.means) TORCH_CHECK(std::isfinite(mean), "expected numbers for means, got ", mean);
}

// The first two and the last two of four.
at::Tensor front(const at::Tensor& fours) { return fours.narrow(-1, 0, 2); }
at::Tensor back(const at::Tensor& fours) { return fours.narrow(-1, 2, 2); }

std::array<double, 4> four(at::ArrayRef<double> values, const char* name) {
  TORCH_CHECK(values.size() == 4, "expected 4 numbers for ", name, ", got ", values.size());
  return {values[0], values[1], values[2], values[3]};
}

}  // namespace

at::Tensor delta2bbox(const at::Tensor& rois, const at::Tensor& deltas, const BoxCoderOptions& options) {
  check_four(rois, "rois");
  check_same_kind(rois, "rois", deltas, "deltas");
  check_numbers(options);
  TORCH_CHECK(deltas.dim() == rois.dim() && deltas.size(-1) % 4 == 0 &&
                  deltas.sizes().slice(0, rois.dim() - 1) == rois.sizes().slice(0, rois.dim() - 1),
              "expected the shape of rois ", rois.sizes(), " with a multiple of 4 last for deltas, got ",
              deltas.sizes());
  TORCH_CHECK(options.wh_ratio_clip > 0 && std::isfinite(options.wh_ratio_clip),
              "expected a positive number for wh_ratio_clip, got ", options.wh_ratio_clip);
  TORCH_CHECK(options.center_clamp >= 0, "expected 0 or more for center_clamp, got ", options.center_clamp);
  if (options.max_shape) {
    for (const double side : *options.max_shape) TORCH_CHECK(side >= 0, "expected 0 or more for max_shape, got ", side);
  }

  std::vector<int64_t> sizes(deltas.sizes().begin(), deltas.sizes().end());
  sizes.back() /= 4;
  sizes.push_back(4);
  // 16 bits do not tell neighbouring pixels of a photo apart.
  const auto type = accumulator_type(rois.scalar_type());
  const at::Tensor source = rois.to(type).unsqueeze(-2), given = deltas.to(type).reshape(sizes);
  const at::Tensor scaled = given * four_numbers(options.stds, given) + four_numbers(options.means, given);
  const at::Tensor side = back(source) - front(source);
  const double most = std::abs(std::log(options.wh_ratio_clip));
  at::Tensor move = side * front(scaled), growth = back(scaled);
  if (options.add_center_clamp) {
    move = at::clamp(move, -options.center_clamp, options.center_clamp);
    growth = at::clamp(growth, std::nullopt, most);
  } else {
    growth = at::clamp(growth, -most, most);
  }
  const at::Tensor centre = (front(source) + back(source)) * 0.5 + move;
  const at::Tensor half = side * growth.exp() * 0.5;
  at::Tensor low = centre - half, high = centre + half;
  if (options.clip_border && options.max_shape) {
    const auto [height, width] = *options.max_shape;
    const auto clipped = [&](const at::Tensor& corner) {
      return at::stack({at::clamp(corner.select(-1, 0), 0, width), at::clamp(corner.select(-1, 1), 0, height)}, -1);
    };
    low = clipped(low);
    high = clipped(high);
  }
  return at::cat({low, high}, -1).reshape(deltas.sizes());
}

at::Tensor bbox2delta(const at::Tensor& rois, const at::Tensor& boxes, const BoxCoderOptions& options) {
  check_four(rois, "rois");
  check_four(boxes, "boxes");
  check_same_kind(rois, "rois", boxes, "boxes");
  check_numbers(options);
  TORCH_CHECK(boxes.sizes() == rois.sizes(), "expected the shape of rois ", rois.sizes(), " for boxes, got ",
              boxes.sizes());
  // Halves lose too much in the differences.
  const auto type = accumulator_type(rois.scalar_type());
  const at::Tensor source = rois.to(type), target = boxes.to(type);
  const at::Tensor side = back(source) - front(source), wanted = back(target) - front(target);
  const at::Tensor move = ((front(target) + back(target)) * 0.5 - (front(source) + back(source)) * 0.5) / side;
  const at::Tensor deltas = at::cat({move, (wanted / side).log()}, -1);
  return (deltas - four_numbers(options.means, deltas)) / four_numbers(options.stds, deltas);
}

}  // namespace freqfusion

TORCH_LIBRARY_FRAGMENT(freqfusion, m) {
  m.def(
      "delta2bbox(Tensor rois, Tensor deltas, float[] means=[0., 0., 0., 0.], float[] stds=[1., 1., 1., 1.], float[]? "
      "max_shape=None, float wh_ratio_clip=0.016, bool clip_border=True, bool add_center_clamp=False, float "
      "center_clamp=32.) -> Tensor",
      [](const at::Tensor& rois, const at::Tensor& deltas, at::ArrayRef<double> means, at::ArrayRef<double> stds,
         std::optional<at::ArrayRef<double>> max_shape, double wh_ratio_clip, bool clip_border, bool add_center_clamp,
         double center_clamp) {
        freqfusion::BoxCoderOptions options{freqfusion::four(means, "means"),
                                            freqfusion::four(stds, "stds"),
                                            {},
                                            wh_ratio_clip,
                                            clip_border,
                                            add_center_clamp,
                                            center_clamp};
        if (max_shape.has_value()) {
          TORCH_CHECK(max_shape->size() == 2, "expected 2 numbers for max_shape, got ", max_shape->size());
          options.max_shape = {(*max_shape)[0], (*max_shape)[1]};
        }
        return freqfusion::delta2bbox(rois, deltas, options);
      });
  m.def(
      "bbox2delta(Tensor rois, Tensor boxes, float[] means=[0., 0., 0., 0.], float[] stds=[1., 1., 1., 1.]) -> Tensor",
      [](const at::Tensor& rois, const at::Tensor& boxes, at::ArrayRef<double> means, at::ArrayRef<double> stds) {
        freqfusion::BoxCoderOptions options;
        options.means = freqfusion::four(means, "means");
        options.stds = freqfusion::four(stds, "stds");
        return freqfusion::bbox2delta(rois, boxes, options);
      });
}
