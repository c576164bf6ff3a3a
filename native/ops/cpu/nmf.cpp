#include "native/ops/nmf.h"

#include <ATen/Parallel.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>

#include "native/ops/cpu/map_of.h"
#include "native/ops/cpu/nmf_kernels.h"

namespace freqfusion {
namespace {

int64_t whole_panels(int64_t count) { return (count + 15) / 16 * 16; }

// At most 16 chunks of at least 256 pixels: as many as there are threads to feed on most machines, and the same
// number on all of them, so that the sums are formed in the same order.
int64_t chunk_of(int64_t pixels) {
  const int64_t share = std::max<int64_t>((pixels + 15) / 16, 256);
  return (share + cpu::kNmfBlock - 1) / cpu::kNmfBlock * cpu::kNmfBlock;
}

cpu::NmfPass pass_at(int64_t step, int64_t steps) {
  if (step == 0) return steps == 0 ? cpu::NmfPass::only : cpu::NmfPass::first;
  return step == steps ? cpu::NmfPass::last : cpu::NmfPass::between;
}

at::Tensor forward(const at::Tensor& x, const at::Tensor& start, int64_t steps) {
  check_nmf(x, start, steps);
  const at::Tensor values = x.contiguous();
  at::Tensor output = at::empty(x.sizes(), x.options());
  if (output.numel() == 0) return output;
  cpu::NmfArgs args{};
  args.storage = cpu::storage_of(x);
  args.images = x.size(0);
  args.pixels = x.size(1);
  args.dim = x.size(2);
  args.rank = start.size(2);
  args.wide = whole_panels(args.rank);
  args.features = whole_panels(args.dim);
  args.chunk = chunk_of(args.pixels);
  args.chunks = (args.pixels + args.chunk - 1) / args.chunk;

  // A copy: it is updated in place.
  at::Tensor bases = at::constant_pad_nd(start, {0, args.wide - args.rank}).contiguous();
  if (bases.is_same(start) || bases.is_alias_of(start)) bases = bases.clone();
  const auto type = x.options();
  const at::Tensor coefficients = at::empty({args.images, args.pixels, args.wide}, type);
  const at::Tensor transposed = at::empty({args.images, args.wide, args.features}, type);
  const at::Tensor gram = at::empty({args.images, args.wide, args.wide}, type);
  const at::Tensor sums = at::empty({args.images, args.chunks, args.dim, args.wide}, type);
  const at::Tensor gram_sums = at::empty({args.images, args.chunks, args.wide, args.wide}, type);
  const int64_t share = cpu::nmf_scratch(args) * cpu::accumulator_size(args.storage);
  const at::Tensor scratch = at::empty({at::get_num_threads(), share}, type.dtype(at::kByte));
  args.x = values.const_data_ptr();
  args.output = output.mutable_data_ptr();
  args.coefficients = coefficients.mutable_data_ptr();
  args.bases = bases.mutable_data_ptr();
  args.transposed = transposed.mutable_data_ptr();
  args.gram = gram.mutable_data_ptr();
  args.sums = sums.mutable_data_ptr();
  args.gram_sums = gram_sums.mutable_data_ptr();
  auto* memory = scratch.mutable_data_ptr<uint8_t>();

  const auto pass = FREQFUSION_DISPATCH(nmf_pass);
  const auto update_bases = FREQFUSION_DISPATCH(nmf_bases);
  const auto form_gram = FREQFUSION_DISPATCH(nmf_gram);
  constexpr int64_t rows = 32;  // of the bases, a task
  const int64_t tasks = (args.dim + rows - 1) / rows;
  for (int64_t step = 0; step <= steps; ++step) {
    at::parallel_for(0, args.images, 1, [&](int64_t begin, int64_t end) {
      for (int64_t image = begin; image < end; ++image) form_gram(args, image, step == steps);
    });
    at::parallel_for(0, args.images * args.chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        pass(args, i / args.chunks, i % args.chunks, pass_at(step, steps), memory + at::get_thread_num() * share);
      }
    });
    if (step == steps) break;
    at::parallel_for(0, args.images * tasks, (tasks + 1) / 2, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t image = begin / tasks, first = begin % tasks, count = std::min(end - begin, tasks - first);
        update_bases(args, image, first * rows, std::min((first + count) * rows, args.dim),
                     memory + at::get_thread_num() * share);
        begin += count;
      }
    });
  }
  return output;
}

}  // namespace
}  // namespace freqfusion

TORCH_LIBRARY_IMPL(freqfusion, CPU, m) { m.impl("nmf", freqfusion::forward); }
