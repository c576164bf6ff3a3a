#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "native/modules/error.h"
#include "native/modules/image/resize.h"
#include "native/modules/options.h"

namespace freqfusion {

// Options of several numbers. ERR_OPTION_TYPE for what is no list of numbers, ERR_OPTION_VALUE for a wrong one.

// [height, width], whole numbers from 1; needed where it has no `fallback`.
ImageSize size_option(const Options& options, const char* name, std::optional<ImageSize> fallback = std::nullopt);

// `count` numbers, in words `what`.
template <size_t count>
std::array<double, count> numbers_option(const Options& options, const char* name,
                                         const std::array<double, count>& fallback, const char* what) {
  const auto values = options.numbers(name, {fallback.begin(), fallback.end()});
  if (values.size() != count) throw Error::argument("ERR_OPTION_VALUE", name, what, std::to_string(values.size()));
  std::array<double, count> numbers;
  std::copy(values.begin(), values.end(), numbers.begin());
  return numbers;
}

}  // namespace freqfusion
