#pragma once

// Argument checks that the operators share. Every message reads "expected X for NAME, got Y".

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

namespace freqfusion {

inline void check_rank4(const at::Tensor& tensor, const char* name, const char* layout) {
  TORCH_CHECK(tensor.dim() == 4, "expected 4 dimensions ", layout, " for ", name, ", got ", tensor.dim());
}

// float32, float64, float16 or bfloat16.
inline void check_floating(const at::Tensor& tensor, const char* name) {
  const at::ScalarType dtype = tensor.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble || dtype == at::kHalf || dtype == at::kBFloat16,
              "expected float32, float64, float16 or bfloat16 for ", name, ", got ", dtype);
}

// `other` lives where `first` lives and has its dtype.
inline void check_same_kind(const at::Tensor& first, const char* first_name, const at::Tensor& other,
                            const char* other_name) {
  TORCH_CHECK(other.scalar_type() == first.scalar_type(), "expected the dtype of ", first_name, " (",
              first.scalar_type(), ") for ", other_name, ", got ", other.scalar_type());
  TORCH_CHECK(other.device() == first.device(), "expected the device of ", first_name, " (", first.device(), ") for ",
              other_name, ", got ", other.device());
}

inline void check_range(int64_t value, int64_t low, int64_t high, const char* name) {
  TORCH_CHECK(value >= low && value <= high, "expected ", low, "..", high, " for ", name, ", got ", value);
}

// Kernel sides have a centre: 1, 3, 5, ..., largest.
inline void check_kernel_size(int64_t kernel_size, int64_t largest = 31) {
  TORCH_CHECK(kernel_size >= 1 && kernel_size <= largest && kernel_size % 2 == 1, "expected an odd number in 1..",
              largest, " for kernel_size, got ", kernel_size);
}

inline void check_sizes(const at::Tensor& tensor, c10::SymIntArrayRef sizes, const char* name) {
  TORCH_CHECK(tensor.sym_sizes() == sizes, "expected shape ", sizes, " for ", name, ", got ", tensor.sym_sizes());
}

// A caller's own output: written whole, any strides. `like` is the operator's first input.
inline void check_output(const at::Tensor& out, c10::SymIntArrayRef sizes, const at::Tensor& like,
                         const char* like_name) {
  check_same_kind(like, like_name, out, "out");
  check_sizes(out, sizes, "out");
}

}  // namespace freqfusion
