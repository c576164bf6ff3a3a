#pragma once

#include <napi.h>

#include "native/modules/options.h"

namespace freqfusion::node {

// JSON-like JavaScript values as Options; members that are undefined are left out. ERR_OPTION_TYPE for functions,
// symbols, big integers and nesting deeper than 16.
Options parse_options(const Napi::Value& value);

}  // namespace freqfusion::node
