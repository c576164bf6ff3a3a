#include "native/modules/image/interpolation.h"

#include <algorithm>

namespace freqfusion {

Taps bilinear_taps(int64_t inputs, int64_t outputs, bool align_corners) {
  Taps taps;
  taps.inputs = inputs;
  taps.count = std::min<int64_t>(2, inputs);
  // float32 throughout: the positions are PyTorch's to the last bit.
  float scale = static_cast<float>(inputs) / static_cast<float>(outputs);
  if (align_corners) scale = outputs > 1 ? static_cast<float>(inputs - 1) / static_cast<float>(outputs - 1) : 0.F;
  for (int64_t i = 0; i < outputs; ++i) {
    const auto index = static_cast<float>(i);
    const float position = align_corners ? index * scale : std::max(0.F, (index + 0.5F) * scale - 0.5F);
    const int64_t first = std::min(static_cast<int64_t>(position), inputs - 1);
    const float second_weight = std::clamp(position - static_cast<float>(first), 0.F, 1.F);
    if (taps.count == 1) {
      taps.start.push_back(0);
      taps.weights.push_back(1);
    } else if (first == inputs - 1) {  // the last position alone, as the second of the last two
      taps.start.push_back(first - 1);
      taps.weights.insert(taps.weights.end(), {0, 1});
    } else {
      taps.start.push_back(first);
      taps.weights.insert(taps.weights.end(), {1 - second_weight, second_weight});
    }
  }
  return taps;
}

Taps compose(const Taps& inner, const Taps& outer) {
  const int64_t outputs = outer.outputs();
  std::vector<int64_t> begin(outputs), end(outputs);
  Taps result;
  result.inputs = inner.inputs;
  for (int64_t i = 0; i < outputs; ++i) {
    begin[i] = inner.inputs;
    end[i] = 0;
    for (int64_t k = 0; k < outer.count; ++k) {
      if (outer.of(i)[k] == 0) continue;
      const int64_t middle = outer.start[i] + k;
      for (int64_t j = 0; j < inner.count; ++j) {
        if (inner.of(middle)[j] == 0) continue;
        begin[i] = std::min(begin[i], inner.start[middle] + j);
        end[i] = std::max(end[i], inner.start[middle] + j + 1);
      }
    }
    result.count = std::max(result.count, end[i] - begin[i]);
  }
  result.weights.assign(outputs * result.count, 0.F);
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t start = std::min(begin[i], inner.inputs - result.count);
    result.start.push_back(start);
    float* weights = result.weights.data() + i * result.count - start;
    for (int64_t k = 0; k < outer.count; ++k) {
      const float share = outer.of(i)[k];
      if (share == 0) continue;
      const int64_t middle = outer.start[i] + k;
      for (int64_t j = 0; j < inner.count; ++j) {
        if (inner.of(middle)[j] != 0) weights[inner.start[middle] + j] += share * inner.of(middle)[j];
      }
    }
  }
  return result;
}

}  // namespace freqfusion
