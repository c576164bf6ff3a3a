#include "native/ops/roi_align.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/CPUAllocator.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "native/ops/check.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/overlap.h"
#include "native/ops/cpu/roi_align_into.h"
#include "native/ops/cpu/roi_align_plan.h"

namespace freqfusion::cpu {
namespace {

// Boxes whose plans are held at a time, and boxes of one run.
constexpr int64_t kBatch = 2048, kRun = 16;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

at::MemoryFormat format_of(const at::Tensor& tensor) { return tensor.suggest_memory_format(); }

template <typename Kernel>
void with_scratch(const RoiAlignArgs& args, int64_t most_columns, Kernel run) {
  const int64_t bytes = FREQFUSION_DISPATCH(roi_align_scratch_bytes)(args, most_columns);
  const auto memory = c10::GetCPUAllocator()->allocate(static_cast<size_t>(bytes));
  run(memory.get());
}

template <typename A>
int64_t most_columns(const std::vector<RoiPlans<A>>& runs) {
  int64_t most = 0;
  for (const auto& run : runs) most = std::max(most, run.most_columns);
  return most;
}

// The order to take boxes in: those of one image and level together, from top to bottom in bands of 16 rows and from
// left to right in a band, so that a box finds most of its pixels in the caches.
template <typename A>
std::vector<int64_t> near_each_other(const std::vector<RoiSource>& sources, const at::Tensor& rois,
                                     const int64_t* levels) {
  struct Key {
    int64_t level;
    double image, band, x;
    int64_t index;
  };
  const A* boxes = rois.const_data_ptr<A>();
  const int64_t step = rois.stride(1);
  std::vector<Key> keys(static_cast<size_t>(rois.size(0)));
  for (int64_t k = 0; k < rois.size(0); ++k) {
    const A* box = boxes + k * rois.stride(0);
    const int64_t level = levels ? levels[k] : 0;
    const double scale = sources[static_cast<size_t>(level)].spatial_scale;
    const double y = (static_cast<double>(box[2 * step]) + static_cast<double>(box[4 * step])) / 2 * scale;
    const double x = static_cast<double>(box[step]), image = static_cast<double>(box[0]);
    // NaN has no place in an order.
    keys[static_cast<size_t>(k)] = {level, image == image ? image : -1, y == y ? std::floor(y / 16) : 0, x == x ? x : 0,
                                    k};
  }
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) {
    return std::tie(a.level, a.image, a.band, a.x, a.index) < std::tie(b.level, b.image, b.band, b.x, b.index);
  });
  std::vector<int64_t> order;
  order.reserve(keys.size());
  for (const Key& key : keys) order.push_back(key.index);
  return order;
}

// Plans of boxes order[begin..end) in runs of kRun, made by all threads.
template <typename A>
std::vector<RoiPlans<A>> make_plans(const std::vector<RoiSource>& sources, const at::Tensor& rois,
                                    const int64_t* levels, const int64_t* order, int64_t count,
                                    const RoiAlignOptions& options) {
  std::vector<RoiPlans<A>> runs(static_cast<size_t>(divide_up(count, kRun)));
  const A* boxes = rois.const_data_ptr<A>();
  at::parallel_for(0, static_cast<int64_t>(runs.size()), 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t i = r * kRun; i < std::min(count, (r + 1) * kRun); ++i) {
        const int64_t k = order[i];
        const RoiSource& source = sources[levels ? static_cast<size_t>(levels[k]) : 0];
        runs[static_cast<size_t>(r)].add(boxes + k * rois.stride(0), rois.stride(1), source, k, options);
      }
    }
  });
  return runs;
}

template <typename A>
void forward_batch(const RoiAlignArgs& args, const std::vector<RoiPlans<A>>& plans, int64_t channels, bool dense) {
  const int64_t runs = static_cast<int64_t>(plans.size());
  const int64_t columns = most_columns(plans);
  // Dense maps: a box takes all its channels at once, unless there are fewer runs than the threads can use. Planes: a
  // few planes take all boxes, so that they stay in the caches.
  const int64_t wanted = 4 * at::get_num_threads();
  const int64_t parts = dense ? std::clamp<int64_t>(divide_up(channels, 64), 1, std::max<int64_t>(1, wanted / runs))
                              : divide_up(channels, 16);
  const int64_t width = divide_up(divide_up(channels, parts), 16) * 16;
  at::parallel_for(0, parts * runs, 1, [&](int64_t begin, int64_t end) {
    with_scratch(args, columns, [&](void* scratch) {
      for (int64_t index = begin; index < end; ++index) {
        const int64_t part = dense ? index % parts : index / runs;
        const RoiPlans<A>& run = plans[static_cast<size_t>(dense ? index / parts : index % runs)];
        const RoiAlignTask task{run.run(), 0, static_cast<int64_t>(run.rois.size()), part * width,
                                std::min(channels, (part + 1) * width)};
        if (task.first >= task.last) continue;
        dense ? FREQFUSION_DISPATCH(roi_align_forward_dense)(args, task, scratch)
              : FREQFUSION_DISPATCH(roi_align_forward_planes)(args, task, scratch);
      }
    });
  });
}

template <typename A>
void forward_boxes(const at::Tensor& output, const std::vector<RoiSource>& sources, bool dense, const at::Tensor& rois,
                   const int64_t* levels, const RoiAlignOptions& options) {
  RoiAlignArgs args{};
  args.storage = storage_of(output);
  args.out_height = options.out_height;
  args.out_width = options.out_width;
  args.out = map_of(output);
  const auto order = near_each_other<A>(sources, rois, levels);
  for (int64_t first = 0; first < rois.size(0); first += kBatch) {
    const int64_t count = std::min(kBatch, rois.size(0) - first);
    const auto plans = make_plans<A>(sources, rois, levels, order.data() + first, count, options);
    forward_batch(args, plans, output.size(1), dense);
  }
}

at::Tensor& forward_out(const at::Tensor& features, const at::Tensor& rois, int64_t out_height, int64_t out_width,
                        double spatial_scale, int64_t sampling_ratio, bool aligned, at::Tensor& output) {
  const RoiAlignOptions options{out_height, out_width, spatial_scale, sampling_ratio, aligned};
  check_roi_align(features, rois, options);
  const c10::SymInt sizes[] = {rois.size(0), features.size(1), out_height, out_width};
  check_output(output, sizes, features, "features");
  check_no_overlap(output, {features, rois});
  roi_align_into(output, {features}, {spatial_scale}, rois, at::Tensor(), options);
  return output;
}

at::Tensor forward(const at::Tensor& features, const at::Tensor& rois, int64_t out_height, int64_t out_width,
                   double spatial_scale, int64_t sampling_ratio, bool aligned) {
  const RoiAlignOptions options{out_height, out_width, spatial_scale, sampling_ratio, aligned};
  check_roi_align(features, rois, options);
  const at::Tensor output =
      at::empty({rois.size(0), features.size(1), out_height, out_width}, features.options(), format_of(features));
  roi_align_into(output, {features}, {spatial_scale}, rois, at::Tensor(), options);
  return output;
}

// ---- the gradient --------------------------------------------------------------------------------------------------

template <typename A>
void add_batch(const RoiAlignArgs& args, const std::vector<RoiPlans<A>>& plans, int64_t images, int64_t channels) {
  const int64_t wanted = 4 * at::get_num_threads();
  const int64_t width = images * divide_up(channels, 64) >= wanted ? 64 : 16;
  const int64_t parts = divide_up(channels, width), columns = most_columns(plans);
  at::parallel_for(0, images * parts, 1, [&](int64_t begin, int64_t end) {
    with_scratch(args, columns, [&](void* scratch) {
      for (int64_t index = begin; index < end; ++index) {
        const int64_t image = index / parts, part = index % parts;
        for (const RoiPlans<A>& run : plans) {
          RoiAlignTask task{run.run(), 0, 0, part * width, std::min(channels, (part + 1) * width)};
          const int64_t count = static_cast<int64_t>(run.rois.size());
          while (task.begin < count && run.rois[static_cast<size_t>(task.begin)].image < image) ++task.begin;
          task.end = task.begin;
          while (task.end < count && run.rois[static_cast<size_t>(task.end)].image == image) ++task.end;
          if (task.begin < task.end) FREQFUSION_DISPATCH(roi_align_backward)(args, task, scratch);
        }
      }
    });
  });
}

template <typename A>
void add_gradients(const at::Tensor& sums, const at::Tensor& grad_output, const at::Tensor& rois,
                   const RoiAlignOptions& options) {
  RoiAlignArgs args{};
  args.storage = storage_of(grad_output);
  args.out_height = options.out_height;
  args.out_width = options.out_width;
  args.out = map_of(grad_output);
  args.sums = map_of(sums);
  const std::vector<RoiSource> sources{{map_of(sums), sums.size(0), sums.size(2), sums.size(3), options.spatial_scale}};
  // Boxes of one image follow each other: a thread adds to the maps of its own images and channels.
  const auto order = near_each_other<A>(sources, rois, nullptr);
  for (int64_t first = 0; first < rois.size(0); first += kBatch) {
    const int64_t count = std::min(kBatch, rois.size(0) - first);
    const auto plans = make_plans<A>(sources, rois, nullptr, order.data() + first, count, options);
    add_batch(args, plans, sums.size(0), sums.size(1));
  }
}

at::Tensor backward(const at::Tensor& grad_output, const at::Tensor& rois, at::IntArrayRef sizes, int64_t out_height,
                    int64_t out_width, double spatial_scale, int64_t sampling_ratio, bool aligned) {
  const RoiAlignOptions options{out_height, out_width, spatial_scale, sampling_ratio, aligned};
  check_roi_align_backward(grad_output, rois, c10::fromIntArrayRefSlow(sizes), options);
  const bool is_double = grad_output.scalar_type() == at::kDouble;
  // 16-bit gradients are summed in float32.
  const at::Tensor sums = at::empty(sizes, grad_output.options().dtype(is_double ? at::kDouble : at::kFloat),
                                    at::MemoryFormat::ChannelsLast);
  sums.zero_();
  if (is_double) {
    add_gradients<double>(sums, grad_output, rois, options);
  } else {
    add_gradients<float>(sums, grad_output, rois, options);
  }
  const at::MemoryFormat format = format_of(grad_output);
  if (sums.scalar_type() == grad_output.scalar_type() && format == at::MemoryFormat::ChannelsLast) return sums;
  return at::empty(sizes, grad_output.options(), format).copy_(sums);
}

}  // namespace

void roi_align_into(const at::Tensor& output, const std::vector<at::Tensor>& features,
                    const std::vector<double>& spatial_scales, const at::Tensor& rois, const at::Tensor& levels,
                    const RoiAlignOptions& options) {
  std::vector<RoiSource> sources;
  bool dense = true;
  for (size_t i = 0; i < features.size(); ++i) {
    const at::Tensor& map = features[i];
    TORCH_CHECK(map.size(2) <= INT32_MAX && map.size(3) <= INT32_MAX,
                "expected at most 2^31 - 1 for the sides of features, got ", map.sizes());
    sources.push_back({map_of(map), map.size(0), map.size(2), map.size(3), spatial_scales[i]});
    dense = dense && map.stride(1) == 1;
  }
  if (output.numel() == 0) return;
  const int64_t* level = levels.defined() ? levels.const_data_ptr<int64_t>() : nullptr;
  if (rois.scalar_type() == at::kDouble) {
    forward_boxes<double>(output, sources, dense, rois, level, options);
  } else {
    forward_boxes<float>(output, sources, dense, rois, level, options);
  }
}

}  // namespace freqfusion::cpu

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) {
  m.impl("roi_align", freqfusion::cpu::forward);
  m.impl("roi_align.out", freqfusion::cpu::forward_out);
  m.impl("roi_align_backward", freqfusion::cpu::backward);
}
