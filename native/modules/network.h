#pragma once

#include <functional>
#include <string>

#include "native/modules/module.h"

namespace freqfusion {

using TensorFunction = std::function<NamedTensors(const NamedTensors&)>;

// Runs the networks of jobs in its own way, for example by replaying what it captured of them.
class NetworkRunner {
 public:
  virtual ~NetworkRunner() = default;
  // `network` under `name` must compute the same whenever inputs of the same shapes come, whatever their values.
  virtual NamedTensors run(const std::string& name, const NamedTensors& inputs, const TensorFunction& network) = 0;
};

// Puts a runner in place for the calling thread, until the scope ends.
class NetworkRunnerScope {
 public:
  explicit NetworkRunnerScope(NetworkRunner& runner);
  ~NetworkRunnerScope();
  NetworkRunnerScope(const NetworkRunnerScope&) = delete;
  NetworkRunnerScope& operator=(const NetworkRunnerScope&) = delete;

 private:
  NetworkRunner* outer_;
};

// The part of a method with host work (see Module::has_host_work) that is device work alone: a function of its inputs
// that neither looks at values nor waits for the device. Calls `network`, or the thread's runner with it.
NamedTensors run_network(const std::string& name, const NamedTensors& inputs, const TensorFunction& network);

}  // namespace freqfusion
