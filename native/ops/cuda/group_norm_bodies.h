#pragma once

// The bodies of group_norm. The first pass leaves the moments of every part of every group, the second joins those of
// its group in every block and writes: two launches, no atomics, the same result whatever the order of the threads.

#include "native/ops/cuda/group_norm.h"
#include "native/ops/cuda/local_similarity_bodies.h"

namespace freqfusion::cuda {

// Count, mean and sum of squared distances from the mean (Chan, Golub, LeVeque, 1979).
struct Moments {
  double count, mean, squares;

  FREQFUSION_HD void add(const Moments& other) {
    if (other.count == 0) return;
    const double total = count + other.count, distance = other.mean - mean;
    squares += other.squares + distance * distance * count * other.count / total;
    mean += distance * other.count / total;
    count = total;
  }
};

// The moments of a block's threads, halved in every phase.
struct SharedMoments {
  Moments of[kThreads];
};
constexpr int kHalvings = 7;
static_assert(kThreads == 1 << kHalvings, "a tree over all threads of a block");

FREQFUSION_HD void join_moments(int halving, int thread, SharedMoments& shared) {
  const int half = kThreads >> (halving + 1);
  if (thread < half) shared.of[thread].add(shared.of[thread + half]);
}

// Which block works on what: `parts` blocks for every group of every image, each with a run of its elements. `dense`: a
// group's elements follow each other in memory, in x and in the output. Otherwise they are counted in the order of the
// map's layout.
template <typename I>
struct GroupGrid {
  I members, height, width, groups, parts, elements, share;
  bool dense, channels_fastest;

  GroupGrid(const GroupNormArgs& args, bool dense_maps, int pack)
      : members(static_cast<I>(args.channels / args.groups)),
        height(static_cast<I>(args.height)),
        width(static_cast<I>(args.width)),
        groups(static_cast<I>(args.groups)),
        parts(static_cast<I>(args.parts)),
        elements(members * height * width),
        dense(dense_maps),
        channels_fastest(args.x.channel == 1 && args.x.column != 1) {
    share = (elements + parts - 1) / parts;
    share = (share + pack - 1) / pack * pack;
  }

  struct Run {
    I image, group, begin, end;
  };
  FREQFUSION_HD Run run(int64_t block) const {
    const I part = static_cast<I>(block % parts), group = static_cast<I>(block / parts);
    const int64_t begin = static_cast<int64_t>(part) * share, end = begin + share;
    return {group / groups, group % groups, static_cast<I>(begin < elements ? begin : elements),
            static_cast<I>(end < elements ? end : elements)};
  }

  // The channel of an element, counted within its group.
  FREQFUSION_HD I member(I element) const {
    return !dense && channels_fastest ? element % members : element / (height * width);
  }
  // Its step from the group's first element.
  template <typename S>
  FREQFUSION_HD I step(const View<S, I>& map, I element) const {
    if (dense) return element;
    I c, pixel;
    if (channels_fastest) {
      c = element % members;
      pixel = element / members;
    } else {
      c = element / (height * width);
      pixel = element % (height * width);
    }
    return c * map.channel + pixel / width * map.row + pixel % width * map.column;
  }
};

// Do the elements of a group follow each other?
inline bool dense_groups(const Map& map, const GroupNormArgs& args) {
  return map.column == 1 && map.row == args.width && map.channel == args.height * args.width;
}

template <typename S, typename I, bool packed>
struct GroupMoments {
  using A = Accumulator<S>;
  using Shared = SharedMoments;
  static constexpr int phases = kHalvings + 2;
  static constexpr int width = packed ? kPack<S> : 1;
  GroupGrid<I> grid;
  View<const S, I> x;
  double* moments;
  int64_t blocks;

  GroupMoments(const GroupNormArgs& args, bool dense)
      : grid(args, dense, width), x(args.x), moments(args.moments), blocks(args.batch * args.groups * args.parts) {}

  // Distances from one element of the thread's own: a mean far from 0 costs no digits.
  FREQFUSION_HD Moments own(int64_t block, int thread) const {
    const auto run = grid.run(block);
    const S* from = x.at(run.image, run.group * grid.members, 0, 0);
    A sum = 0, squares = 0, origin = 0;
    I count = 0;
    for (int64_t e = int64_t{run.begin} + thread * width; e < run.end; e += kThreads * width) {
      A values[width];
      read_block<packed, width>(from + grid.step(x, static_cast<I>(e)), I(1), width, values);
      if (count == 0) origin = values[0];
      FREQFUSION_UNROLL
      for (int v = 0; v < width; ++v) {
        const A distance = values[v] - origin;
        sum += distance;
        squares += distance * distance;
      }
      count += width;
    }
    if (count == 0) return {0, 0, 0};
    const double n = static_cast<double>(count), mean = static_cast<double>(sum) / n;
    return {n, static_cast<double>(origin) + mean, static_cast<double>(squares) - mean * static_cast<double>(sum)};
  }

  FREQFUSION_HD void operator()(int phase, int64_t block, int thread, Shared& shared) const {
    if (phase == 0) {
      shared.of[thread] = own(block, thread);
    } else if (phase <= kHalvings) {
      join_moments(phase - 1, thread, shared);
    } else if (thread == 0) {
      moments[2 * block] = shared.of[0].mean;
      moments[2 * block + 1] = shared.of[0].squares;
    }
  }
};

template <typename I>
FREQFUSION_HD double value_of(Storage storage, const void* values, I index) {
  switch (storage) {
    case Storage::f64:
      return static_cast<const double*>(values)[index];
    case Storage::f16:
      return widen(static_cast<const Half*>(values)[index]);
    case Storage::bf16:
      return widen(static_cast<const BFloat16*>(values)[index]);
    default:
      return static_cast<const float*>(values)[index];
  }
}

// S: of x, O: of the output.
template <typename S, typename O, typename I, bool packed>
struct GroupApply {
  using A = Accumulator<S>;
  using Shared = SharedMoments;
  static constexpr int phases = kHalvings + 2;
  static constexpr int width = packed ? kPack<S> : 1;
  GroupGrid<I> grid;
  View<const S, I> x;
  View<O, I> output;
  Storage weight_storage, bias_storage;
  const void *weight, *bias;
  const double* moments;
  double eps;
  int64_t blocks;

  GroupApply(const GroupNormArgs& args, bool dense)
      : grid(args, dense, width),
        x(args.x),
        output(args.output),
        weight_storage(args.weight_storage),
        bias_storage(args.bias_storage),
        weight(args.weight),
        bias(args.bias),
        moments(args.moments),
        eps(args.eps),
        blocks(args.batch * args.groups * args.parts) {}

  FREQFUSION_HD Moments part(int64_t block, int thread) const {
    if (thread >= grid.parts) return {0, 0, 0};
    const int64_t other = block / grid.parts * grid.parts + thread;
    const auto run = grid.run(other);
    return {static_cast<double>(run.end - run.begin), moments[2 * other], moments[2 * other + 1]};
  }

  FREQFUSION_HD void write(int64_t block, int thread, const Moments& group) const {
    const auto run = grid.run(block);
    const A inverse = static_cast<A>(1.0 / square_root(group.squares / group.count + eps));
    const I first = run.group * grid.members;
    const S* from = x.at(run.image, first, 0, 0);
    O* to = output.at(run.image, first, 0, 0);
    for (int64_t at = int64_t{run.begin} + thread * width; at < run.end; at += kThreads * width) {
      const I e = static_cast<I>(at), c = first + grid.member(e);
      A values[width];
      read_block<packed, width>(from + grid.step(x, e), I(1), width, values);
      const A scale = static_cast<A>(value_of(weight_storage, weight, c)) * inverse;
      const A shift = static_cast<A>(value_of(bias_storage, bias, c)), mean = static_cast<A>(group.mean);
      FREQFUSION_UNROLL
      for (int v = 0; v < width; ++v) values[v] = (values[v] - mean) * scale + shift;
      store(to + grid.step(output, e), values);
    }
  }

  // What was read in one access of 16 bytes is as many values, in 16 bytes or more of the output.
  FREQFUSION_HD static void store(O* to, const A* values) {
    constexpr int step = packed && kPack<O> < width ? kPack<O> : width;
    FREQFUSION_UNROLL
    for (int v = 0; v < width; v += step) write_block<packed, step>(to + v, int64_t{1}, step, values + v);
  }

  FREQFUSION_HD void operator()(int phase, int64_t block, int thread, Shared& shared) const {
    if (phase == 0) {
      shared.of[thread] = part(block, thread);
    } else if (phase <= kHalvings) {
      join_moments(phase - 1, thread, shared);
    } else {
      write(block, thread, shared.of[0]);
    }
  }
};

}  // namespace freqfusion::cuda
