#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "native/modules/network.h"
#include "native/node/device_stream.h"

namespace freqfusion::node {

// The captured graphs of one module: one for each network and each set of input shapes, dtypes and layouts. The first
// run of a kind is an ordinary one, which warms up what is made on first use (a size that comes once is never
// captured); the second captures; then the graph is replayed on copies of the inputs, and its outputs are copied out.
// The kinds used longest ago go when there are more than the capacity.
//
// It belongs to the thread of the stream's queue; any thread may destroy it once no job of its module is left.
class GraphCache final : public DeviceCache {
 public:
  GraphCache() = default;
  GraphCache(const GraphCache&) = delete;
  GraphCache& operator=(const GraphCache&) = delete;
  ~GraphCache() override { forget(); }

  // `network` as NetworkRunner::run wants it. ERR_CUDA_GRAPH where it cannot be
  // captured, because it waits for the device or makes tensors on the CPU.
  NamedTensors run(const std::shared_ptr<DeviceStream>& stream, const std::string& name, const NamedTensors& inputs,
                   const TensorFunction& network, int64_t capacity);

  // Forgets everything: the module's weights have changed, it moves, or memory is short.
  void drop() override;

 private:
  struct Entry {
    std::string kind;
    NamedTensors inputs, outputs;  // the graph's own
    std::unique_ptr<DeviceGraph> graph;
  };

  Entry* find(const std::string& kind);
  void trim(int64_t capacity);
  void capture(Entry& entry, const NamedTensors& inputs, const TensorFunction& network);
  void forget();

  std::shared_ptr<DeviceStream> stream_;
  std::list<Entry> entries_;  // the one used last in front
};

// The thread's NetworkRunner while a module runs with graphs.
class GraphRunner final : public NetworkRunner {
 public:
  GraphRunner(GraphCache& cache, std::shared_ptr<DeviceStream> stream, int64_t capacity)
      : cache_(cache), stream_(std::move(stream)), capacity_(capacity) {}

  NamedTensors run(const std::string& name, const NamedTensors& inputs, const TensorFunction& network) override {
    return cache_.run(stream_, name, inputs, network, capacity_);
  }

 private:
  GraphCache& cache_;
  std::shared_ptr<DeviceStream> stream_;
  int64_t capacity_;
};

}  // namespace freqfusion::node
