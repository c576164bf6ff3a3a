#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "native/modules/module.h"

namespace freqfusion {

// The inputs p2, p3, ..., `count` of them, each [N, channels, H, W], in compute_type. ERR_INPUT_MISSING, and ERR_SHAPE,
// ERR_DTYPE, ERR_DEVICE against a parameter of the module.
std::vector<at::Tensor> pyramid_inputs(const NamedTensors& inputs, size_t count, int64_t channels,
                                       const at::Tensor& parameter);

// An integer from 1 to 2^20 or ERR_OPTION_VALUE.
int64_t positive_option(const Options& options, const char* name, int64_t fallback);

// The options of a part of a network, with `value` under `name` where it says nothing of it.
Options with_default(Options options, const char* name, Options value);
inline Options with_default(Options options, const char* name, int64_t value) {
  return with_default(std::move(options), name, Options(static_cast<double>(value)));
}

}  // namespace freqfusion
