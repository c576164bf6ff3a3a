#include "native/modules/network.h"

#include <utility>

namespace freqfusion {
namespace {

thread_local NetworkRunner* current_runner = nullptr;

}  // namespace

NetworkRunnerScope::NetworkRunnerScope(NetworkRunner& runner) : outer_(std::exchange(current_runner, &runner)) {}

NetworkRunnerScope::~NetworkRunnerScope() { current_runner = outer_; }

NamedTensors run_network(const std::string& name, const NamedTensors& inputs, const TensorFunction& network) {
  return current_runner == nullptr ? network(inputs) : current_runner->run(name, inputs, network);
}

}  // namespace freqfusion
