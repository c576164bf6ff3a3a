#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "native/modules/options.h"

namespace freqfusion {

// Named tensors in the order in which they were added: the inputs and outputs of a module at the boundary.
class NamedTensors {
 public:
  void add(std::string name, at::Tensor tensor);
  const at::Tensor* find(const std::string& name) const;
  // ERR_INPUT_MISSING, naming the inputs that there are.
  const at::Tensor& require(const std::string& name) const;
  const std::vector<std::pair<std::string, at::Tensor>>& entries() const { return entries_; }

 private:
  std::vector<std::pair<std::string, at::Tensor>> entries_;
};

// Collects intermediate results by name when a caller asks for them (`stages: true`); null otherwise.
using Trace = NamedTensors;
inline void trace(Trace* stages, const char* name, const at::Tensor& tensor) {
  if (stages != nullptr) stages->add(name, tensor);
}

enum class StateKind { parameter, buffer };

struct StateEntry {
  std::string name;   // full dotted name, exactly as in the PyTorch state dict
  at::Tensor* value;  // owned by the module
  StateKind kind;
};

// Base of every module: named parameters, buffers and children, in PyTorch's state-dict order
// (own parameters, own buffers, then children, each in the order of registration).
class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  std::vector<StateEntry> state(const std::string& prefix = "");
  // Moves parameters and buffers; integer buffers keep their dtype.
  void to(std::optional<at::Device> device, std::optional<at::ScalarType> dtype);
  // The reference's initialisation, deterministic for a seed (ERR_NOT_SUPPORTED where a module has none).
  virtual void initialize(uint64_t seed);

  // One job at the Node boundary: `method` is "forward" or one of the module's further methods.
  // ERR_METHOD_UNKNOWN by default.
  virtual NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options);

 protected:
  // Each registers in call order and returns the tensor that the module then holds by reference.
  void register_parameter(std::string name, at::Tensor* slot, at::IntArrayRef sizes);
  void register_buffer(std::string name, at::Tensor* slot, at::Tensor value);
  void register_child(std::string name, Module* child);  // the caller owns the child
  void visit_children(const std::function<void(Module&)>& visit);

 private:
  struct Own {
    std::string name;
    at::Tensor* slot;
    StateKind kind;
  };
  void collect(const std::string& prefix, std::vector<StateEntry>& out);

  std::vector<Own> parameters_, buffers_;
  std::vector<std::pair<std::string, Module*>> children_;
};

}  // namespace freqfusion
