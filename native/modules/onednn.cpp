#include "native/modules/onednn.h"

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <utility>
#include <vector>

namespace freqfusion::onednn {
namespace {

using Operator = std::optional<c10::OperatorHandle>;

struct Operators {
  Operator pack, conv, conv_add, conv_add_in_place;

  Operators() {
    const auto find = [](const char* name, const char* overload) {
      return c10::Dispatcher::singleton().findSchema({name, overload});
    };
    pack = find("mkldnn::_reorder_convolution_weight", "");
    conv = find("mkldnn::_convolution_pointwise", "");
    conv_add = find("mkldnn::_convolution_pointwise", "binary");
    conv_add_in_place = find("mkldnn::_convolution_pointwise_", "binary");
  }
  bool complete() const { return pack && conv && conv_add && conv_add_in_place; }
};

const Operators& operators() {
  static const Operators found;
  return found;
}

c10::List<int64_t> list(at::IntArrayRef values) {
  c10::List<int64_t> copy;
  for (const int64_t value : values) copy.push_back(value);
  return copy;
}

// Called by name and boxed: their C++ signatures are nobody's interface, their schemas are.
at::Tensor call(const Operator& op, std::vector<c10::IValue> arguments) {
  op->callBoxed(arguments);
  return arguments.front().toTensor();
}

void add_geometry(std::vector<c10::IValue>& arguments, const Conv2dOptions& geometry) {
  arguments.emplace_back(list(geometry.padding));
  arguments.emplace_back(list(geometry.stride));
  arguments.emplace_back(list(geometry.dilation));
  arguments.emplace_back(geometry.groups);
}

c10::IValue optional(const at::Tensor& tensor) { return tensor.defined() ? c10::IValue(tensor) : c10::IValue(); }

void add_unary(std::vector<c10::IValue>& arguments, Activation activation) {
  arguments.emplace_back(activation == Activation::relu ? "relu" : "none");
  arguments.emplace_back(c10::List<std::optional<at::Scalar>>());
  arguments.emplace_back("");
}

void add_sum(std::vector<c10::IValue>& arguments, Activation activation) {
  arguments.emplace_back("add");
  arguments.emplace_back(1.0);
  if (activation == Activation::relu) {
    add_unary(arguments, activation);
    return;
  }
  arguments.emplace_back();
  arguments.emplace_back(c10::List<std::optional<at::Scalar>>());
  arguments.emplace_back();
}

}  // namespace

bool supported(at::ScalarType dtype, const at::Device& device) {
  return dtype == at::kFloat && device.is_cpu() && operators().complete();
}

at::Tensor pack(const at::Tensor& weight, const Conv2dOptions& geometry, at::IntArrayRef sizes) {
  std::vector<c10::IValue> arguments{weight.is_mkldnn() ? weight.to_dense() : weight.contiguous()};
  add_geometry(arguments, geometry);
  arguments.emplace_back(list(sizes));
  return call(operators().pack, std::move(arguments));
}

at::Tensor conv(const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias, const Conv2dOptions& geometry,
                Activation activation) {
  std::vector<c10::IValue> arguments{x, packed, optional(bias)};
  add_geometry(arguments, geometry);
  add_unary(arguments, activation);
  return call(operators().conv, std::move(arguments));
}

at::Tensor conv_add(const at::Tensor& x, const at::Tensor& other, const at::Tensor& packed, const at::Tensor& bias,
                    const Conv2dOptions& geometry, Activation activation) {
  std::vector<c10::IValue> arguments{x, other, packed, optional(bias)};
  add_geometry(arguments, geometry);
  add_sum(arguments, activation);
  return call(operators().conv_add, std::move(arguments));
}

void conv_add_(const at::Tensor& other, const at::Tensor& x, const at::Tensor& packed, const at::Tensor& bias,
               const Conv2dOptions& geometry, Activation activation) {
  std::vector<c10::IValue> arguments{other, x, packed, optional(bias)};
  add_geometry(arguments, geometry);
  add_sum(arguments, activation);
  call(operators().conv_add_in_place, std::move(arguments));
}

}  // namespace freqfusion::onednn
