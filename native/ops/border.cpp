#include "native/ops/border.h"

#include <c10/util/Exception.h>

namespace freqfusion {

Border parse_border(std::string_view name) {
  if (name == "zeros") return Border::zeros;
  if (name == "reflect") return Border::reflect;
  TORCH_CHECK(false, "expected \"zeros\" or \"reflect\" for border, got \"", name, "\"");
}

const char* border_name(Border border) { return border == Border::zeros ? "zeros" : "reflect"; }

}  // namespace freqfusion
