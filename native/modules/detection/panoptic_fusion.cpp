#include "native/modules/detection/panoptic_fusion.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <vector>

#include "native/modules/detection/inputs.h"
#include "native/modules/detection/test_options.h"
#include "native/modules/error.h"
#include "native/modules/image/postprocess.h"

namespace freqfusion {
namespace {

constexpr int32_t kInstanceOffset = 1000;
constexpr int64_t kTile = 64;  // side of the squares in which columns become rows

// Calls `visit(begin, end)` for every run of set pixels, counted column by column.
template <typename Visit>
void each_run(const MaskRuns& masks, int64_t index, Visit visit) {
  const auto* runs = masks.runs.const_data_ptr<int32_t>();
  const auto* starts = masks.starts.const_data_ptr<int64_t>();
  int64_t at = 0;
  for (int64_t i = starts[index]; i < starts[index + 1]; ++i) {
    const int64_t end = at + runs[i];
    if ((i - starts[index]) % 2 == 1) visit(at, end);
    at = end;
  }
}

std::vector<int64_t> by_score(const at::Tensor& scores) {
  const at::Tensor numbers = scores.to(at::kFloat).contiguous();
  const auto* values = numbers.const_data_ptr<float>();
  std::vector<int64_t> order;
  for (int64_t i = 0; i < numbers.size(0); ++i) {
    if (values[i] == values[i]) order.push_back(i);  // not NaN, which has no place in an order
  }
  std::stable_sort(order.begin(), order.end(), [values](int64_t a, int64_t b) { return values[a] > values[b]; });
  return order;
}

// Instances on a canvas that is kept column by column, as run lengths count: 0 where free, else 1, 2, ...
class InstanceCanvas {
 public:
  InstanceCanvas(int64_t height, int64_t width) : height_(height), width_(width), numbers_(height * width) {}

  // Pastes the mask on what is free, unless nothing of it would be seen or too large a share lies under others.
  bool paste(const MaskRuns& masks, int64_t index, double overlap) {
    const int64_t area = masks.areas.const_data_ptr<int64_t>()[index];
    if (area == 0) return false;
    int64_t covered = 0;
    each_run(masks, index, [&](int64_t begin, int64_t end) {
      covered += end - begin - std::count(numbers_.begin() + begin, numbers_.begin() + end, int32_t{0});
    });
    const float share = static_cast<float>(covered) / (static_cast<float>(area) + 1e-5F);
    if (share > static_cast<float>(overlap)) return false;
    count_ += 1;
    each_run(masks, index, [&](int64_t begin, int64_t end) {
      std::replace(numbers_.begin() + begin, numbers_.begin() + end, int32_t{0}, count_);
    });
    return true;
  }

  // ids[y, x] = instance(number) where there is one, else stuff(y * width + x).
  template <typename Instance, typename Stuff>
  void write(int32_t* ids, Instance instance, Stuff stuff) const {
    const int64_t bands = (height_ + kTile - 1) / kTile;
    at::parallel_for(0, bands, 1, [&](int64_t first, int64_t last) {
      for (int64_t top = first * kTile; top < std::min(last * kTile, height_); top += kTile) {
        for (int64_t left = 0; left < width_; left += kTile) write_tile(ids, top, left, instance, stuff);
      }
    });
  }

 private:
  template <typename Instance, typename Stuff>
  void write_tile(int32_t* ids, int64_t top, int64_t left, Instance instance, Stuff stuff) const {
    for (int64_t y = top; y < std::min(top + kTile, height_); ++y) {
      for (int64_t x = left; x < std::min(left + kTile, width_); ++x) {
        const int32_t number = numbers_[x * height_ + y];
        const int64_t at = y * width_ + x;
        ids[at] = number != 0 ? instance(number) : stuff(at);
      }
    }
  }

  int64_t height_, width_;
  std::vector<int32_t> numbers_;
  int32_t count_ = 0;
};

}  // namespace

PanopticMap fuse_panoptic(const at::Tensor& scores, const at::Tensor& labels, const MaskRuns& masks,
                          const at::Tensor& classes, const PanopticFusionOptions& options) {
  const int64_t height = classes.size(0), width = classes.size(1);
  InstanceCanvas canvas(height, width);
  const at::Tensor label = labels.to(at::kLong).contiguous();
  std::vector<int64_t> pasted;
  std::vector<int32_t> ids = {0};
  for (const int64_t index : by_score(scores)) {
    if (!canvas.paste(masks, index, options.mask_overlap)) continue;
    pasted.push_back(index);
    ids.push_back(static_cast<int32_t>(label.const_data_ptr<int64_t>()[index]) +
                  kInstanceOffset * static_cast<int32_t>(pasted.size()));
  }
  at::Tensor map = at::empty({height, width}, at::TensorOptions().dtype(at::kInt));
  auto* out = map.mutable_data_ptr<int32_t>();
  const at::Tensor semantic = classes.to(at::kInt).contiguous();
  const auto* kinds = semantic.const_data_ptr<int32_t>();
  const auto things = static_cast<int32_t>(options.num_things_classes);
  const auto unlabelled = static_cast<int32_t>(options.num_things_classes + options.num_stuff_classes);
  canvas.write(out, [&](int32_t number) { return ids[number]; }, [&](int64_t at) { return -1 - kinds[at]; });

  // Stuff stands as -1 - kind until it is known how large each kind is.
  std::vector<int64_t> areas(static_cast<size_t>(options.num_stuff_classes) + 1);
  for (int64_t i = 0; i < map.numel(); ++i) {
    if (out[i] < 0) areas[static_cast<size_t>(-1 - out[i])] += 1;
  }
  std::vector<int32_t> stuff;
  for (size_t kind = 0; kind < areas.size(); ++kind) {
    stuff.push_back(areas[kind] < options.stuff_area_limit ? unlabelled : things + static_cast<int32_t>(kind));
  }
  at::parallel_for(0, map.numel(), 65536, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (out[i] < 0) out[i] = stuff[static_cast<size_t>(-1 - out[i])];
    }
  });
  return {map, at::tensor(pasted, at::TensorOptions().dtype(at::kLong))};
}

void check_panoptic_classes(int64_t things, int64_t stuff) {
  if (things + stuff < kInstanceOffset) return;
  throw Error::argument("ERR_OPTION_VALUE", "numStuffClasses",
                        "at most " + std::to_string(kInstanceOffset - 1) + " things and stuff together",
                        std::to_string(things) + " and " + std::to_string(stuff));
}

MaskRuns runs_of(const at::Tensor& masks, double threshold) {
  const at::Tensor set = masks.ge(threshold).transpose(1, 2).contiguous();  // column by column
  const int64_t count = set.size(0), pixels = set.size(1) * set.size(2);
  std::vector<int32_t> runs;
  std::vector<int64_t> starts = {0}, areas;
  const auto* values = set.const_data_ptr<bool>();
  for (int64_t k = 0; k < count; ++k, values += pixels) {
    bool current = false;
    int64_t begin = 0, area = 0;
    for (int64_t i = 0; i < pixels; ++i) {
      area += values[i] ? 1 : 0;
      if (values[i] == current) continue;
      runs.push_back(static_cast<int32_t>(i - begin));
      begin = i;
      current = !current;
    }
    runs.push_back(static_cast<int32_t>(pixels - begin));
    starts.push_back(static_cast<int64_t>(runs.size()));
    areas.push_back(area);
  }
  return {at::tensor(runs, at::TensorOptions().dtype(at::kInt)),
          at::tensor(starts, at::TensorOptions().dtype(at::kLong)),
          at::tensor(areas, at::TensorOptions().dtype(at::kLong))};
}

NamedTensors panoptic_fusion(const NamedTensors& inputs, const Options& options) {
  options.reject_unknown({"numThingsClasses", "numStuffClasses", "maskThrBinary", "maskOverlap", "stuffAreaLimit"});
  PanopticFusionOptions fusion;
  fusion.num_things_classes = positive_option(options, "numThingsClasses", fusion.num_things_classes);
  fusion.num_stuff_classes = positive_option(options, "numStuffClasses", fusion.num_stuff_classes);
  check_panoptic_classes(fusion.num_things_classes, fusion.num_stuff_classes);
  Options limits;
  for (const char* name : {"maskThrBinary", "maskOverlap"}) {
    if (options.has(name)) limits.set(name, Options(options.number(name, 0)));
  }
  if (options.has("stuffAreaLimit")) {
    limits.set("stuffAreaLimit", Options(static_cast<double>(options.integer("stuffAreaLimit"))));
  }
  const auto test = PanopticTestOptions::parse(limits, {});
  fusion.mask_overlap = test.mask_overlap;
  fusion.stuff_area_limit = test.stuff_area_limit;

  const at::Tensor scores = inputs.require("scores").to(at::kCPU), labels = inputs.require("labels").to(at::kCPU);
  const at::Tensor masks = inputs.require("masks").to(at::kCPU);
  const at::Tensor& semantic = inputs.require("semantic");
  if (semantic.dim() != 3 || semantic.size(0) != fusion.num_stuff_classes + 1 || semantic.numel() == 0) {
    throw Error::argument("ERR_SHAPE", "semantic",
                          '[' + std::to_string(fusion.num_stuff_classes + 1) + ", H, W] with H, W >= 1",
                          shape_text(semantic));
  }
  const ImageSize size = {semantic.size(1), semantic.size(2)};
  if (masks.dim() != 3 || masks.size(1) != size.height || masks.size(2) != size.width) {
    throw Error::argument("ERR_SHAPE", "masks",
                          "[K, " + std::to_string(size.height) + ", " + std::to_string(size.width) + "], as semantic",
                          shape_text(masks));
  }
  for (const auto& [name, values] : {std::pair{"scores", scores}, std::pair{"labels", labels}}) {
    if (values.dim() == 1 && values.size(0) == masks.size(0)) continue;
    throw Error::argument("ERR_SHAPE", name, '[' + std::to_string(masks.size(0)) + "], one a mask", shape_text(values));
  }
  if (labels.numel() > 0 &&
      (labels.min().item<int64_t>() < 0 || labels.max().item<int64_t>() >= fusion.num_things_classes)) {
    throw Error::argument("ERR_RANGE", "labels", "integers from 0 to " + std::to_string(fusion.num_things_classes - 1),
                          "one outside");
  }
  const LogitView view = {{{semantic.unsqueeze(0), 0, 0, size}}, size, size};
  const PanopticMap map = fuse_panoptic(scores, labels, runs_of(masks, test.instances.mask_thr_binary),
                                        segmentation_maps({view}, size, {}).labels.squeeze(0), fusion);
  NamedTensors outputs;
  outputs.add("panoptic", map.ids);
  outputs.add("pasted", map.pasted);
  return outputs;
}

}  // namespace freqfusion
