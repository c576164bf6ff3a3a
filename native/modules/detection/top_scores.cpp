#include "native/modules/detection/top_scores.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/sort.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace freqfusion {
namespace {

// Unsigned integers in the order of the numbers.
uint32_t ordered_bits(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

// A score and its index in one integer: the greatest is the best score, of equal ones the one with the lower index.
at::Tensor top_scores_on_host(const at::Tensor& scores, int64_t count) {
  const auto* values = scores.const_data_ptr<float>();
  const int64_t total = scores.size(0);
  std::vector<uint64_t> keys;
  keys.reserve(total);
  for (int64_t i = 0; i < total; ++i) {
    // -0 is 0, which equal scores must not tell apart.
    const float value = values[i] == 0 ? 0 : values[i];
    if (!std::isnan(value))
      keys.push_back(uint64_t{ordered_bits(value)} << 32 | (0xFFFFFFFFU - static_cast<uint32_t>(i)));
  }
  const auto kept = std::min<int64_t>(count, static_cast<int64_t>(keys.size()));
  const auto end = keys.begin() + kept;
  if (end != keys.end()) std::nth_element(keys.begin(), end, keys.end(), std::greater<>());
  std::sort(keys.begin(), end, std::greater<>());
  at::Tensor indices = at::empty({kept}, at::TensorOptions().dtype(at::kLong));
  auto* out = indices.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < kept; ++i) out[i] = 0xFFFFFFFFU - static_cast<uint32_t>(keys[i]);
  return indices;
}

}  // namespace

at::Tensor top_scores(const at::Tensor& scores, int64_t count) {
  const bool host = scores.device().is_cpu() && scores.scalar_type() == at::kFloat && scores.size(0) < 0xFFFFFFFFLL;
  if (host) return top_scores_on_host(scores.contiguous(), count);
  const at::Tensor numbers = scores.isnan().logical_not().nonzero().squeeze(1);
  const at::Tensor order = std::get<1>(at::sort(scores.index_select(0, numbers), /*stable=*/true, 0, true));
  return numbers.index_select(0, order.narrow(0, 0, std::min(count, order.size(0))));
}

}  // namespace freqfusion
