#include "native/modules/option_values.h"

#include <vector>

namespace freqfusion {

ImageSize size_option(const Options& options, const char* name, std::optional<ImageSize> fallback) {
  std::vector<int64_t> otherwise;
  if (fallback) otherwise = {fallback->height, fallback->width};
  const auto values = options.integers(name, otherwise);
  if (values.size() != 2 || values[0] < 1 || values[1] < 1) {
    throw Error::argument("ERR_OPTION_VALUE", name, "[height, width] from 1",
                          std::to_string(values.size()) + " numbers, or one below 1");
  }
  return {values[0], values[1]};
}

}  // namespace freqfusion
