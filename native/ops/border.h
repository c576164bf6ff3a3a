#pragma once

#include <string_view>

#include "native/ops/export.h"

namespace freqfusion {

// What a kernel tap reads outside the map. `zeros` is mmcv's compiled CARAFE, with which every published
// checkpoint was trained; `reflect` is the authors' mmcv-free fallback.
enum class Border { zeros, reflect };

// Throws c10::Error for any other name.
FREQFUSION_API Border parse_border(std::string_view name);
FREQFUSION_API const char* border_name(Border border);

}  // namespace freqfusion
