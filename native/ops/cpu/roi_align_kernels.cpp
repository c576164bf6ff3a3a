#include "native/ops/cpu/roi_align_kernels.h"

#include "native/ops/cpu/staging.h"
#include "native/ops/cpu/vec_transpose.h"

namespace freqfusion::cpu::FREQFUSION_ISA {
namespace roi {

FREQFUSION_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
FREQFUSION_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

template <typename S>
FREQFUSION_INLINE S* address(const Map& map, int64_t image, int64_t channel, int64_t row, int64_t column) {
  return static_cast<S*>(map.data) + image * map.image + channel * map.channel + row * map.row + column * map.column;
}

// Vectors of channels that a kernel works on at once, and values in them.
constexpr int kVectors = 4;
template <typename A>
constexpr int64_t kBlock = kVectors * Vec<A>::size;

// What one bin reads along one side.
template <typename A>
struct Taps {
  const int32_t* places;
  const A* weights;
  int64_t count;
};

// A box's plan, and its bins one after the other.
template <typename A>
class Bins {
 public:
  Bins(const RoiRun& run, const RoiPlan& plan, int64_t skipped_bins)
      : run_(run), end_(run.ends + plan.first_end + skipped_bins), at_(skipped_bins > 0 ? end_[-1] : plan.first_tap) {}

  FREQFUSION_INLINE Taps<A> next() {
    const int64_t from = at_;
    at_ = *end_++;
    return {run_.taps + from, static_cast<const A*>(run_.weights) + from, at_ - from};
  }

 private:
  const RoiRun& run_;
  const int32_t* end_;
  int64_t at_;
};

// Working memory: one row of bins' columns, [column][channel of the block], and all bins, [bin][channel].
template <typename A>
struct Room {
  A *columns, *bins;

  Room(const RoiAlignArgs& args, int64_t most_columns, void* scratch) {
    Scratch memory{static_cast<char*>(scratch)};
    columns = memory.take<A>(padded(most_columns) * kBlock<A>);
    bins = memory.take<A>(padded(args.out_height * args.out_width) * kBlock<A>);
  }

  // Whole squares are transposed.
  static int64_t padded(int64_t count) { return whole_vectors<A>(count); }
};

template <typename A>
int64_t most_columns(const RoiAlignTask& task) {
  int64_t most = 0;
  for (int64_t k = task.begin; k < task.end; ++k) most = larger(most, task.run.rois[k].columns);
  return most;
}

// bins[column bin] = sum over its taps of weight * columns[place], `width` channels.
template <typename A, int vectors>
FREQFUSION_INLINE void mix_columns(const RoiAlignArgs& args, const RoiAlignTask& task, const RoiPlan& plan,
                                   const A* columns, A* bins) {
  constexpr int lanes = Vec<A>::size, width = vectors * lanes;
  Bins<A> bin(task.run, plan, args.out_height);
  for (int64_t b = 0; b < args.out_width; ++b) {
    const Taps<A> taps = bin.next();
    Vec<A> sum[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sum[v] = zero<A>();
    for (int64_t t = 0; t < taps.count; ++t) {
      const A* column = columns + taps.places[t] * width;
      const Vec<A> weight = broadcast(taps.weights[t]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sum[v] = fma(weight, load(column + v * lanes), sum[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(bins + b * width + v * lanes, sum[v]);
  }
}

// Writes bins [bin][width channels] to the output, whatever its layout.
template <typename S, int vectors>
void store_bins(const RoiAlignArgs& args, int64_t index, int64_t channel, int64_t channels,
                const Accumulator<S>* bins) {
  using A = Accumulator<S>;
  constexpr int lanes = Vec<A>::size, width = vectors * lanes;
  const int64_t count = args.out_height * args.out_width;
  S* out = address<S>(args.out, index, channel, 0, 0);
  if (args.out.channel == 1) {
    for (int64_t b = 0; b < count; ++b) {
      S* to = out + b / args.out_width * args.out.row + b % args.out_width * args.out.column;
      store_run(to, 1, channels, bins + b * width);
    }
  } else if (args.out.column == 1 && args.out.row == args.out_width) {
    for (int64_t c = 0; c < channels; c += lanes) {
      const int64_t rows = smaller(lanes, channels - c);
      for (int64_t b = 0; b < count; b += lanes) {
        Vec<A> square[lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) square[i] = load(bins + (b + i) * width + c);
        transpose(square);
        const int left = static_cast<int>(smaller(lanes, count - b));
        for (int64_t i = 0; i < rows; ++i) {
          S* to = out + (c + i) * args.out.channel + b;
          if (left == lanes) {
            store(to, square[i]);
          } else {
            store_partial(to, square[i], left);
          }
        }
      }
    }
  } else {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t b = 0; b < count; ++b) {
        out[c * args.out.channel + b / args.out_width * args.out.row + b % args.out_width * args.out.column] =
            narrow<S>(bins[b * width + c]);
      }
    }
  }
}

template <typename S>
void store_nan(const RoiAlignArgs& args, int64_t index, int64_t first, int64_t last) {
  const S nan = narrow<S>(static_cast<Accumulator<S>>(__builtin_nanf("")));
  for (int64_t c = first; c < last; ++c) {
    for (int64_t y = 0; y < args.out_height; ++y) {
      for (int64_t x = 0; x < args.out_width; ++x) *address<S>(args.out, index, c, y, x) = nan;
    }
  }
}

// ---- channels side by side -----------------------------------------------------------------------------------------

// columns[place] = sum over a row bin's taps of weight * map, for a block of channels. A partial block ends in zeros.
template <typename S, bool whole>
FREQFUSION_INLINE void mix_rows_dense(const RoiAlignTask& task, const RoiPlan& plan, const Taps<Accumulator<S>>& taps,
                                      int64_t channel, int64_t channels, Accumulator<S>* columns) {
  using A = Accumulator<S>;
  constexpr int lanes = Vec<A>::size;
  const S* map = address<const S>(plan.map, plan.image, channel, 0, 0);
  for (int64_t place = 0; place < plan.columns; ++place) {
    const S* pixel = map + task.run.columns[plan.first_column + place] * plan.map.column;
    Vec<A> sum[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[v] = zero<A>();
    for (int64_t t = 0; t < taps.count; ++t) {
      const S* from = pixel + taps.places[t] * plan.map.row;
      const Vec<A> weight = broadcast(taps.weights[t]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        if constexpr (whole) {
          sum[v] = fma(weight, load(from + v * lanes), sum[v]);
        } else if (v * lanes < channels) {
          const int count = static_cast<int>(smaller(lanes, channels - v * lanes));
          sum[v] = fma(weight, load_partial(from + v * lanes, count), sum[v]);
        }
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(columns + place * kBlock<A> + v * lanes, sum[v]);
  }
}

template <typename S>
void forward_dense(const RoiAlignArgs& args, const RoiAlignTask& task, void* scratch) {
  using A = Accumulator<S>;
  const Room<A> room(args, most_columns<A>(task), scratch);
  for (int64_t k = task.begin; k < task.end; ++k) {
    const RoiPlan& plan = task.run.rois[k];
    if (!plan.finite) {
      store_nan<S>(args, plan.index, task.first, task.last);
      continue;
    }
    for (int64_t channel = task.first; channel < task.last; channel += kBlock<A>) {
      const int64_t channels = smaller(kBlock<A>, task.last - channel);
      Bins<A> rows(task.run, plan, 0);
      for (int64_t y = 0; y < args.out_height; ++y) {
        const Taps<A> taps = rows.next();
        if (channels == kBlock<A>) {
          mix_rows_dense<S, true>(task, plan, taps, channel, channels, room.columns);
        } else {
          mix_rows_dense<S, false>(task, plan, taps, channel, channels, room.columns);
        }
        mix_columns<A, kVectors>(args, task, plan, room.columns, room.bins + y * args.out_width * kBlock<A>);
      }
      store_bins<S, kVectors>(args, plan.index, channel, channels, room.bins);
    }
  }
}

// ---- planes --------------------------------------------------------------------------------------------------------

// columns[place] = sum over a row bin's taps of weight * map, for one vector of channels: runs of columns of each
// channel become vectors of channels by a transposition.
template <typename S>
FREQFUSION_INLINE void mix_rows_planes(const RoiPlan& plan, const int32_t* column, const Taps<Accumulator<S>>& taps,
                                       int64_t channel, int64_t channels, Accumulator<S>* columns) {
  using A = Accumulator<S>;
  constexpr int lanes = Vec<A>::size;
  if (plan.columns == 0) return;
  const S* map = address<const S>(plan.map, plan.image, channel, 0, 0);
  if (!plan.neighbours || plan.map.column != 1) {
    fill_zero(columns, plan.columns * lanes);
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t t = 0; t < taps.count; ++t) {
        const S* row = map + c * plan.map.channel + taps.places[t] * plan.map.row;
        for (int64_t i = 0; i < plan.columns; ++i) {
          columns[i * lanes + c] += taps.weights[t] * widen(row[column[i] * plan.map.column]);
        }
      }
    }
    return;
  }
  for (int64_t place = 0; place < plan.columns; place += lanes) {
    // What lies right of the box is read as well where the map goes on, and never used.
    const int64_t left = plan.width - column[0] - place;
    Vec<A> square[lanes];
#pragma GCC unroll 16
    for (int c = 0; c < lanes; ++c) square[c] = zero<A>();
    for (int64_t c = 0; c < channels; ++c) {
      const S* from = map + c * plan.map.channel + column[0] + place;
      Vec<A> sum = zero<A>();
      for (int64_t t = 0; t < taps.count; ++t) {
        const S* row = from + taps.places[t] * plan.map.row;
        const Vec<A> value = left >= lanes ? load(row) : load_partial(row, static_cast<int>(left));
        sum = fma(broadcast(taps.weights[t]), value, sum);
      }
      square[c] = sum;
    }
    transpose(square);
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) store(columns + (place + i) * lanes, square[i]);
  }
}

template <typename S>
void forward_planes(const RoiAlignArgs& args, const RoiAlignTask& task, void* scratch) {
  using A = Accumulator<S>;
  constexpr int lanes = Vec<A>::size;
  const Room<A> room(args, most_columns<A>(task), scratch);
  // One block of channels after the other: its planes stay in the caches for all boxes.
  for (int64_t channel = task.first; channel < task.last; channel += lanes) {
    const int64_t channels = smaller(lanes, task.last - channel);
    for (int64_t k = task.begin; k < task.end; ++k) {
      const RoiPlan& plan = task.run.rois[k];
      if (!plan.finite) {
        store_nan<S>(args, plan.index, channel, channel + channels);
        continue;
      }
      Bins<A> rows(task.run, plan, 0);
      for (int64_t y = 0; y < args.out_height; ++y) {
        mix_rows_planes<S>(plan, task.run.columns + plan.first_column, rows.next(), channel, channels, room.columns);
        mix_columns<A, 1>(args, task, plan, room.columns, room.bins + y * args.out_width * lanes);
      }
      store_bins<S, 1>(args, plan.index, channel, channels, room.bins);
    }
  }
}

// ---- the gradient --------------------------------------------------------------------------------------------------

// bins [bin][channel of the block] of a box's gradient, the block's spare channels 0.
template <typename S>
void load_bins(const RoiAlignArgs& args, int64_t index, int64_t channel, int64_t channels, Accumulator<S>* bins) {
  using A = Accumulator<S>;
  constexpr int lanes = Vec<A>::size;
  const int64_t count = args.out_height * args.out_width;
  const S* from = address<const S>(args.out, index, channel, 0, 0);
  if (channels < kBlock<A>) fill_zero(bins, count * kBlock<A>);
  if (args.out.column == 1 && args.out.row == args.out_width) {
    for (int64_t c = 0; c < channels; c += lanes) {
      for (int64_t b = 0; b < count; b += lanes) {
        const int left = static_cast<int>(smaller(lanes, count - b));
        Vec<A> square[lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) square[i] = zero<A>();
        for (int64_t i = 0; i < smaller(lanes, channels - c); ++i) {
          const S* run = from + (c + i) * args.out.channel + b;
          square[i] = left == lanes ? load(run) : load_partial(run, left);
        }
        transpose(square);
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) store(bins + (b + i) * kBlock<A> + c, square[i]);
      }
    }
    return;
  }
  for (int64_t b = 0; b < count; ++b) {
    const S* bin = from + b / args.out_width * args.out.row + b % args.out_width * args.out.column;
    A* to = bins + b * kBlock<A>;
    if (args.out.channel == 1) {
      load_run(bin, 1, channels, to);
    } else {
      for (int64_t c = 0; c < channels; ++c) to[c] = widen(bin[c * args.out.channel]);
    }
  }
}

template <typename A>
FREQFUSION_INLINE void add_scaled(A* to, A weight, const A* from, int64_t count) {
  constexpr int lanes = Vec<A>::size;
  const Vec<A> factor = broadcast(weight);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(to + i, fma(factor, load(from + i), load(to + i)));
  if (i < count) {
    const int rest = static_cast<int>(count - i);
    store_partial(to + i, fma(factor, load(from + i), load_partial(to + i, rest)), rest);
  }
}

template <typename S>
void backward_sums(const RoiAlignArgs& args, const RoiAlignTask& task, void* scratch) {
  using A = Accumulator<S>;
  const Room<A> room(args, most_columns<A>(task), scratch);
  for (int64_t channel = task.first; channel < task.last; channel += kBlock<A>) {
    const int64_t channels = smaller(kBlock<A>, task.last - channel);
    for (int64_t k = task.begin; k < task.end; ++k) {
      const RoiPlan& plan = task.run.rois[k];
      if (!plan.finite || plan.columns == 0) continue;
      load_bins<S>(args, plan.index, channel, channels, room.bins);
      A* sums = address<A>(args.sums, plan.image, channel, 0, 0);
      Bins<A> rows(task.run, plan, 0);
      for (int64_t y = 0; y < args.out_height; ++y) {
        const Taps<A> row_taps = rows.next();
        if (row_taps.count == 0) continue;
        fill_zero(room.columns, plan.columns * kBlock<A>);
        Bins<A> columns(task.run, plan, args.out_height);
        for (int64_t x = 0; x < args.out_width; ++x) {
          const Taps<A> taps = columns.next();
          const A* bin = room.bins + (y * args.out_width + x) * kBlock<A>;
          for (int64_t t = 0; t < taps.count; ++t) {
            add_scaled(room.columns + taps.places[t] * kBlock<A>, taps.weights[t], bin, kBlock<A>);
          }
        }
        for (int64_t t = 0; t < row_taps.count; ++t) {
          A* row = sums + row_taps.places[t] * args.sums.row;
          for (int64_t i = 0; i < plan.columns; ++i) {
            add_scaled(row + task.run.columns[plan.first_column + i] * args.sums.column, row_taps.weights[t],
                       room.columns + i * kBlock<A>, channels);
          }
        }
      }
    }
  }
}

}  // namespace roi

int64_t roi_align_scratch_bytes(const RoiAlignArgs& args, int64_t columns) {
  const auto bytes = [&](auto value) {
    using A = decltype(value);
    const int64_t rows = roi::Room<A>::padded(columns) + roi::Room<A>::padded(args.out_height * args.out_width);
    return rows * roi::kBlock<A> * static_cast<int64_t>(sizeof(A)) + 128;
  };
  return args.storage == Storage::f64 ? bytes(double{}) : bytes(float{});
}

void roi_align_forward_dense(const RoiAlignArgs& args, const RoiAlignTask& task, void* scratch) {
  with_storage(args.storage, [&](auto storage) { roi::forward_dense<decltype(storage)>(args, task, scratch); });
}

void roi_align_forward_planes(const RoiAlignArgs& args, const RoiAlignTask& task, void* scratch) {
  with_storage(args.storage, [&](auto storage) { roi::forward_planes<decltype(storage)>(args, task, scratch); });
}

void roi_align_backward(const RoiAlignArgs& args, const RoiAlignTask& task, void* scratch) {
  with_storage(args.storage, [&](auto storage) { roi::backward_sums<decltype(storage)>(args, task, scratch); });
}

}  // namespace freqfusion::cpu::FREQFUSION_ISA
