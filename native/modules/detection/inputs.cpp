#include "native/modules/detection/inputs.h"

#include "native/modules/error.h"
#include "native/modules/folding.h"

namespace freqfusion {

std::vector<at::Tensor> pyramid_inputs(const NamedTensors& inputs, size_t count, int64_t channels,
                                       const at::Tensor& parameter) {
  std::vector<at::Tensor> levels;
  for (size_t i = 0; i < count; ++i) {
    const std::string name = "p" + std::to_string(i + 2);
    const at::Tensor& level = inputs.require(name);
    check_feature_map(level, name.c_str(), channels, parameter);
    if (level.size(0) != inputs.require("p2").size(0)) {
      throw Error::argument("ERR_SHAPE", name, "as many images as in p2", shape_text(level));
    }
    levels.push_back(level.to(compute_type(level)));
  }
  return levels;
}

int64_t positive_option(const Options& options, const char* name, int64_t fallback) {
  const int64_t value = options.integer(name, fallback);
  if (value >= 1 && value <= int64_t{1} << 20) return value;
  throw Error::argument("ERR_OPTION_VALUE", name, "an integer from 1 to 2^20", std::to_string(value));
}

Options with_default(Options options, const char* name, Options value) {
  if (!options.has(name)) options.set(name, std::move(value));
  return options;
}

}  // namespace freqfusion
