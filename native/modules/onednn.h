#pragma once

#include <ATen/core/Tensor.h>

#include "native/modules/activation.h"
#include "native/modules/layers.h"

// libtorch's oneDNN convolutions with what follows them in the same pass: operators that it registers for its own
// compiler. They are looked up by name, so that a libtorch without them still links; supported() says whether they
// are there.

namespace freqfusion::onednn {

// Whether this libtorch has the operators, and they compute maps of this kind: float32 on the CPU.
bool supported(at::ScalarType dtype, const at::Device& device);

// Weight [out, in / groups, kh, kw] in oneDNN's layout for maps of `sizes` (an opaque tensor; any other size works
// with it, at the price of another reordering in each call). `weight` may be such a tensor.
at::Tensor pack(const at::Tensor& weight, const Conv2dOptions& geometry, at::IntArrayRef sizes);

// activation(conv(x)); x and the result in channels-last memory.
at::Tensor conv(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias, const Conv2dOptions& geometry,
                Activation activation);
// activation(conv(x) + other), a new tensor.
at::Tensor conv_add(const at::Tensor& x, const at::Tensor& other, const at::Tensor& packed, const at::Tensor& bias,
                    const Conv2dOptions& geometry, Activation activation);
// The same, written over `other`, which is in channels-last memory.
void conv_add_(const at::Tensor& other, const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias,
               const Conv2dOptions& geometry, Activation activation);

}  // namespace freqfusion::onednn
