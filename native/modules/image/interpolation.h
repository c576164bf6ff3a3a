#pragma once

#include <cstdint>
#include <vector>

namespace freqfusion {

// A linear resampling of one axis: output i is the sum over k of weights[i * count + k] * input[start[i] + k].
struct Taps {
  int64_t inputs = 0;
  int64_t count = 0;  // taps of every output; some weights may be 0
  std::vector<int64_t> start;
  std::vector<float> weights;

  int64_t outputs() const { return static_cast<int64_t>(start.size()); }
  const float* of(int64_t output) const { return weights.data() + output * count; }
};

// The taps of PyTorch's interpolate(mode='bilinear', size=outputs) along one axis.
Taps bilinear_taps(int64_t inputs, int64_t outputs, bool align_corners);

// First `inner`, then `outer`, as one resampling. `outer` may read fewer positions than `inner` gives: that is
// how the padding of a network's input is cropped away.
Taps compose(const Taps& inner, const Taps& outer);

}  // namespace freqfusion
