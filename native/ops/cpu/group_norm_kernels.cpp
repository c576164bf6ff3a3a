#include "native/ops/cpu/group_norm_kernels.h"

#include "native/ops/cpu/staging.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace {

template <typename S>
void load_row(const GroupNormArgs& args, int64_t image, int64_t channel, int64_t y, Accumulator<S>* to) {
  const Map& map = args.x;
  load_run(static_cast<const S*>(map.data) + image * map.image + channel * map.channel + y * map.row, map.column,
           args.width, to);
}

// The mean of a row first, then the squared distances from it: both from the first-level cache, and nothing cancels.
template <typename T>
void row_moments(const T* row, int64_t width, double* moments) {
  constexpr int V = Vec<T>::size;
  Vec<T> total = zero<T>();
  for (int64_t i = 0; i < width; i += V) total = total + load(row + i);  // the spare lanes are 0
  const T mean = sum(total) / static_cast<T>(width);
  Vec<T> squares = zero<T>();
  int64_t i = 0;
  for (; i + V <= width; i += V) {
    const Vec<T> distance = load(row + i) - broadcast(mean);
    squares = fma(distance, distance, squares);
  }
  T rest = sum(squares);
  for (; i < width; ++i) rest += (row[i] - mean) * (row[i] - mean);
  moments[0] = static_cast<double>(mean);
  moments[1] = static_cast<double>(rest);
}

template <typename S>
void moments_of(const GroupNormArgs& args, int64_t begin, int64_t end, Accumulator<S>* row) {
  for (int64_t index = begin; index < end; ++index) {
    for (int64_t c = 0; c < args.channels; ++c) {
      load_row<S>(args, index / args.height, c, index % args.height, row);
      row_moments(row, args.width, args.moments + (index * args.channels + c) * 2);
    }
  }
}

template <typename S>
void apply_to(const GroupNormArgs& args, int64_t begin, int64_t end, Accumulator<S>* row) {
  using T = Accumulator<S>;
  constexpr int V = Vec<T>::size;
  const Map& map = args.output;
  for (int64_t index = begin; index < end; ++index) {
    const int64_t image = index / args.height, y = index % args.height;
    for (int64_t c = 0; c < args.channels; ++c) {
      load_row<S>(args, image, c, y, row);
      const Vec<T> scale = broadcast(static_cast<T>(args.scale[image * args.channels + c]));
      const Vec<T> shift = broadcast(static_cast<T>(args.shift[image * args.channels + c]));
      for (int64_t i = 0; i < args.width; i += V) store(row + i, fma(load(row + i), scale, shift));
      store_run(static_cast<T*>(map.data) + image * map.image + c * map.channel + y * map.row, map.column, args.width,
                row);
    }
  }
}

}  // namespace

int64_t group_norm_scratch_bytes(const GroupNormArgs& args) {
  return (args.width + 64) * (args.storage == Storage::f64 ? 8 : 4);
}

void group_norm_moments(const GroupNormArgs& args, int64_t begin, int64_t end, void* scratch) {
  with_storage(args.storage, [&](auto storage) {
    using S = decltype(storage);
    moments_of<S>(args, begin, end, static_cast<Accumulator<S>*>(scratch));
  });
}

void group_norm_apply(const GroupNormArgs& args, int64_t begin, int64_t end, void* scratch) {
  with_storage(args.storage, [&](auto storage) {
    using S = decltype(storage);
    apply_to<S>(args, begin, end, static_cast<Accumulator<S>*>(scratch));
  });
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
