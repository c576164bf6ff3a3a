#pragma once

namespace freqfusion {

// What follows a convolution in the same pass over its result.
enum class Activation { none, relu };

}  // namespace freqfusion
