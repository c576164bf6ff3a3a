#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace freqfusion::cpu {

// Where the pixels of one side of a canvas read one side of a mask.
template <typename A>
struct MaskAxis {
  int64_t first = 0, last = 0;  // the pixels that read anything
  // Of pixel first + i: the two texels, the first weight and the second. A texel outside has the weight 0.
  std::vector<int32_t> below, above;
  std::vector<A> below_weight, above_weight;

  int64_t length() const { return last - first; }

  // `texels` of the mask stretch from `low` to `high`; pixels [begin, end) are looked at.
  void place(A low, A high, int64_t texels, int64_t begin, int64_t end) {
    below.clear(), above.clear(), below_weight.clear(), above_weight.clear();
    const A side = high - low, size = static_cast<A>(texels);
    if (side > 0) {
      // Half a texel beyond the box the mask has faded; two pixels are for rounding.
      const A reach = side / (2 * size) + 2;
      begin = std::max(begin, pixel_near(low - reach, end));
      end = std::min(end, pixel_near(high + reach, end) + 1);
    }
    first = last = begin;
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      // A side of length 0 reads the mask's centre everywhere.
      const A position = side > 0 ? (static_cast<A>(pixel) + A(0.5) - low) / side * 2 - 1 : A(0);
      const A texel = ((position + 1) * size - 1) / 2;
      if (!(texel > -1 && texel < size)) {
        if (last > first) break;  // past the box
        first = last = pixel + 1;
        continue;
      }
      const A floor = std::floor(texel);
      const int64_t base = static_cast<int64_t>(floor);
      const A fraction = texel - floor;
      below.push_back(static_cast<int32_t>(std::max<int64_t>(base, 0)));
      above.push_back(static_cast<int32_t>(std::min(base + 1, texels - 1)));
      below_weight.push_back(base >= 0 ? 1 - fraction : A(0));
      above_weight.push_back(base + 1 < texels ? fraction : A(0));
      last = pixel + 1;
    }
  }

 private:
  static int64_t pixel_near(A at, int64_t end) {
    return static_cast<int64_t>(std::clamp(std::floor(at), A(0), static_cast<A>(end)));
  }
};

}  // namespace freqfusion::cpu
