#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
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
  // Replaces the tensor where the name is there already.
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
  // Copies values into parameters and buffers by full name, converting dtype and device, then calls `loaded` on
  // every module. ERR_STATE_KEY for an unknown name, ERR_STATE_SHAPE for another shape; then nothing is copied.
  void load(const NamedTensors& values);
  // Moves parameters and buffers, all of them or none where it fails; integer buffers keep their dtype.
  void to(std::optional<at::Device> device, std::optional<at::ScalarType> dtype);
  // The reference's initialisation, deterministic for a seed (ERR_NOT_SUPPORTED where a module has none).
  virtual void initialize(uint64_t seed);

  // One job at the Node boundary: `method` is "forward" or one of the module's further methods.
  // ERR_METHOD_UNKNOWN by default.
  virtual NamedTensors run(const std::string& method, const NamedTensors& inputs, const Options& options);
  // Whether the method does work on the CPU, looks at values or waits for the device. Then it cannot be captured whole
  // in a CUDA graph: it passes its network through run_network (network.h). False by default.
  virtual bool has_host_work(const std::string& method) const;

 protected:
  // Each registers in call order and returns the tensor that the module then holds by reference.
  void register_parameter(std::string name, at::Tensor* slot, at::IntArrayRef sizes);  // zeros, float32, on the CPU
  void register_buffer(std::string name, at::Tensor* slot, at::Tensor value);
  void register_child(std::string name, Module* child);  // the caller owns the child
  void visit_children(const std::function<void(Module&)>& visit);
  // Called after state was loaded, to check or derive what depends on it.
  virtual void loaded() {}
  // Called when the state is about to be loaded or moved: what was derived from the old values is dropped, to be made
  // again when it is next needed. Modules that derive something drop it themselves where they initialise their state.
  virtual void changed() {}

 private:
  struct Own {
    std::string name;
    at::Tensor* slot;
    StateKind kind;
  };
  void collect(const std::string& prefix, std::vector<StateEntry>& out);
  void notify_loaded();
  void notify_changed();

  std::vector<Own> parameters_, buffers_;
  std::vector<std::pair<std::string, Module*>> children_;
};

// "[1, 64, 32, 32]", and PyTorch's name of a dtype ("float32"), for messages.
std::string shape_text(const at::Tensor& tensor);
std::string dtype_text(at::ScalarType dtype);

// Checks a feature map [N, channels, H, W] with H, W >= 1 against a parameter of the module that takes it:
// ERR_SHAPE, ERR_DTYPE or ERR_DEVICE, naming the input, what was expected and what came.
void check_feature_map(const at::Tensor& tensor, const char* name, int64_t channels, const at::Tensor& parameter);

}  // namespace freqfusion
