#include "native/ops/group_norm.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "native/ops/cpu/aligned_scratch.h"
#include "native/ops/cpu/group_norm_kernels.h"
#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/overlap.h"

namespace freqfusion::cpu {
namespace {

using Kernel = void (*)(const GroupNormArgs&, int64_t, int64_t, void*);

void over_rows(const GroupNormArgs& args, int64_t images, Kernel kernel) {
  const int64_t grain = std::max<int64_t>(1, 65536 / std::max<int64_t>(1, args.channels * args.width));
  const int64_t scratch_bytes = FREQFUSION_DISPATCH(group_norm_scratch_bytes)(args);
  at::parallel_for(0, images * args.height, grain, [&](int64_t begin, int64_t end) {
    const AlignedScratch scratch(scratch_bytes);
    kernel(args, begin, end, scratch.data);
  });
}

// Mean and variance of one group, from the moments of its rows (Chan, Golub, LeVeque, 1979).
struct Moments {
  double count = 0, mean = 0, squares = 0;

  void add(double other_count, double other_mean, double other_squares) {
    const double total = count + other_count, distance = other_mean - mean;
    squares += other_squares + distance * distance * count * other_count / total;
    mean += distance * other_count / total;
    count = total;
  }
};

at::Tensor& group_norm_out_cpu(const at::Tensor& x, int64_t groups, const at::Tensor& weight, const at::Tensor& bias,
                               double eps, at::Tensor& output) {
  check_group_norm(output, x, groups, weight, bias);
  check_no_overlap(output, {x});
  if (output.numel() == 0) return output;
  const int64_t images = x.size(0), channels = x.size(1), members = channels / groups;
  GroupNormArgs args;
  args.storage = storage_of(x);
  args.channels = channels;
  args.height = x.size(2);
  args.width = x.size(3);
  args.x = map_of(x);
  args.output = map_of(output);
  std::vector<double> moments(static_cast<size_t>(images * args.height * channels * 2));
  args.moments = moments.data();
  over_rows(args, images, FREQFUSION_DISPATCH(group_norm_moments));

  const at::Tensor weights = weight.to(at::kDouble).contiguous(), biases = bias.to(at::kDouble).contiguous();
  const double *w = weights.const_data_ptr<double>(), *b = biases.const_data_ptr<double>();
  std::vector<double> scale(static_cast<size_t>(images * channels)), shift(scale.size());
  for (int64_t index = 0; index < images * groups; ++index) {
    const int64_t image = index / groups, first = index % groups * members;
    Moments group;
    for (int64_t y = 0; y < args.height; ++y) {
      for (int64_t c = first; c < first + members; ++c) {
        const double* row = args.moments + ((image * args.height + y) * channels + c) * 2;
        group.add(static_cast<double>(args.width), row[0], row[1]);
      }
    }
    const double inverse = 1 / std::sqrt(group.squares / group.count + eps);
    for (int64_t c = first; c < first + members; ++c) {
      const auto at = static_cast<size_t>(image * channels + c);
      scale[at] = w[c] * inverse;
      shift[at] = b[c] - group.mean * scale[at];
    }
  }
  args.scale = scale.data();
  args.shift = shift.data();
  over_rows(args, images, FREQFUSION_DISPATCH(group_norm_apply));
  return output;
}

}  // namespace
}  // namespace freqfusion::cpu

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("group_norm.out", freqfusion::cpu::group_norm_out_cpu); }
