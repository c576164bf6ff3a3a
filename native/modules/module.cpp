#include "native/modules/module.h"

#include <ATen/ops/zeros.h>

#include <unordered_map>

#include "native/modules/error.h"

namespace freqfusion {

void NamedTensors::add(std::string name, at::Tensor tensor) {
  for (auto& entry : entries_) {
    if (entry.first == name) {
      entry.second = std::move(tensor);
      return;
    }
  }
  entries_.emplace_back(std::move(name), std::move(tensor));
}

const at::Tensor* NamedTensors::find(const std::string& name) const {
  for (const auto& entry : entries_) {
    if (entry.first == name) return &entry.second;
  }
  return nullptr;
}

const at::Tensor& NamedTensors::require(const std::string& name) const {
  if (const at::Tensor* tensor = find(name)) return *tensor;
  std::vector<std::string> names;
  for (const auto& entry : entries_) names.push_back(entry.first);
  throw Error::argument("ERR_INPUT_MISSING", "input " + name, "a tensor",
                        names.empty() ? "no inputs" : "only " + join(names));
}

std::vector<StateEntry> Module::state(const std::string& prefix) {
  std::vector<StateEntry> entries;
  collect(prefix, entries);
  return entries;
}

void Module::collect(const std::string& prefix, std::vector<StateEntry>& out) {
  for (const Own& own : parameters_) out.push_back({prefix + own.name, own.slot, own.kind});
  for (const Own& own : buffers_) out.push_back({prefix + own.name, own.slot, own.kind});
  for (const auto& [name, child] : children_) child->collect(prefix + name + '.', out);
}

void Module::load(const NamedTensors& values) {
  std::unordered_map<std::string, at::Tensor*> slots;
  for (const StateEntry& entry : state()) slots.emplace(entry.name, entry.value);
  for (const auto& [name, value] : values.entries()) {
    const auto slot = slots.find(name);
    if (slot == slots.end()) {
      throw Error::argument("ERR_STATE_KEY", "state dict key", "a name of the module's state", name);
    }
    if (value.sizes() != slot->second->sizes()) {
      throw Error::argument("ERR_STATE_SHAPE", name, "shape " + shape_text(*slot->second), shape_text(value));
    }
  }
  notify_changed();
  for (const auto& [name, value] : values.entries()) slots.at(name)->copy_(value);
  notify_loaded();
}

void Module::notify_loaded() {
  loaded();
  for (const auto& child : children_) child.second->notify_loaded();
}

void Module::notify_changed() {
  changed();
  for (const auto& child : children_) child.second->notify_changed();
}

void Module::to(std::optional<at::Device> device, std::optional<at::ScalarType> dtype) {
  notify_changed();
  const std::vector<StateEntry> entries = state();
  // All of them, or none where memory runs out on the way.
  std::vector<at::Tensor> moved;
  for (const StateEntry& entry : entries) {
    const at::Tensor& value = *entry.value;
    const at::ScalarType wanted = dtype && value.is_floating_point() ? *dtype : value.scalar_type();
    moved.push_back(value.to(device.value_or(value.device()), wanted));
  }
  for (size_t i = 0; i < entries.size(); ++i) *entries[i].value = std::move(moved[i]);
}

void Module::initialize(uint64_t) {
  throw Error("ERR_NOT_SUPPORTED", "this module has no initialisation of its own: load a state dict into it");
}

NamedTensors Module::run(const std::string& method, const NamedTensors&, const Options&) {
  throw Error::argument("ERR_METHOD_UNKNOWN", "method", "a method of this module", '"' + method + '"');
}

bool Module::has_host_work(const std::string&) const { return false; }

void Module::register_parameter(std::string name, at::Tensor* slot, at::IntArrayRef sizes) {
  *slot = at::zeros(sizes, at::TensorOptions().dtype(at::kFloat));
  parameters_.push_back({std::move(name), slot, StateKind::parameter});
}

void Module::register_buffer(std::string name, at::Tensor* slot, at::Tensor value) {
  *slot = std::move(value);
  buffers_.push_back({std::move(name), slot, StateKind::buffer});
}

void Module::register_child(std::string name, Module* child) { children_.emplace_back(std::move(name), child); }

void Module::visit_children(const std::function<void(Module&)>& visit) {
  for (const auto& child : children_) visit(*child.second);
}

std::string shape_text(const at::Tensor& tensor) {
  std::vector<std::string> sides;
  for (const int64_t side : tensor.sizes()) sides.push_back(std::to_string(side));
  return '[' + join(sides) + ']';
}

std::string dtype_text(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kHalf:
      return "float16";
    case at::kBFloat16:
      return "bfloat16";
    case at::kLong:
      return "int64";
    case at::kInt:
      return "int32";
    case at::kShort:
      return "int16";
    case at::kChar:
      return "int8";
    case at::kByte:
      return "uint8";
    case at::kBool:
      return "bool";
    default:
      return c10::toString(dtype);
  }
}

void check_feature_map(const at::Tensor& tensor, const char* name, int64_t channels, const at::Tensor& parameter) {
  const bool fits = tensor.dim() == 4 && tensor.size(1) == channels && tensor.size(2) >= 1 && tensor.size(3) >= 1;
  if (!fits) {
    throw Error::argument("ERR_SHAPE", name, "shape [N, " + std::to_string(channels) + ", H, W] with H, W >= 1",
                          shape_text(tensor));
  }
  if (tensor.scalar_type() != parameter.scalar_type()) {
    throw Error::argument("ERR_DTYPE", name, dtype_text(parameter.scalar_type()) + ", the dtype of the module",
                          dtype_text(tensor.scalar_type()));
  }
  if (tensor.device() != parameter.device()) {
    throw Error::argument("ERR_DEVICE", name, parameter.device().str() + ", the device of the module",
                          tensor.device().str());
  }
}

}  // namespace freqfusion
