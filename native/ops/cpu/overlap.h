#pragma once

#include <ATen/MemoryOverlap.h>
#include <ATen/core/Tensor.h>

#include <initializer_list>

namespace freqfusion {

// Every element of `output` has memory of its own, and none of the inputs' memory.
inline void check_no_overlap(const at::Tensor& output, std::initializer_list<at::Tensor> inputs) {
  at::assert_no_internal_overlap(output);
  for (const at::Tensor& input : inputs) at::assert_no_overlap(output, input);
}

}  // namespace freqfusion
