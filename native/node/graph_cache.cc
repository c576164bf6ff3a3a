#include "native/node/graph_cache.h"

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <utility>

#include "native/modules/error.h"

namespace freqfusion::node {
namespace {

std::string kind_of(const std::string& name, const NamedTensors& inputs) {
  std::string kind = name;
  for (const auto& [input, tensor] : inputs.entries()) {
    kind += '|' + input + ' ' + tensor.device().str() + ' ' + dtype_text(tensor.scalar_type()) + shape_text(tensor);
    if (tensor.suggest_memory_format() == at::MemoryFormat::ChannelsLast) kind += " channels-last";
  }
  return kind;
}

// Memory of the graph's own for an input; one on the CPU (bases of a factorisation) gets it on the device, too.
at::Tensor own_memory(const at::Tensor& input, c10::Device device) {
  return at::empty(input.sizes(), input.options().device(device).pinned_memory(false), input.suggest_memory_format());
}

}  // namespace

NamedTensors GraphCache::run(const std::shared_ptr<DeviceStream>& stream, const std::string& name,
                             const NamedTensors& inputs, const TensorFunction& network, int64_t capacity) {
  if (stream_ != stream) {
    forget();
    stream_ = stream;
    stream_->add_cache(this);
  }
  const std::string kind = kind_of(name, inputs);
  Entry* entry = find(kind);
  if (entry == nullptr) {
    NamedTensors outputs = network(inputs);
    entries_.emplace_front().kind = kind;
    trim(capacity);
    return outputs;
  }
  if (entry->graph == nullptr) capture(*entry, inputs, network);
  for (const auto& [input, own] : entry->inputs.entries()) own.copy_(inputs.require(input), /*non_blocking=*/true);
  entry->graph->replay();
  NamedTensors outputs;
  // The next replay writes over the graph's own.
  for (const auto& [output, tensor] : entry->outputs.entries()) outputs.add(output, tensor.clone());
  return outputs;
}

void GraphCache::capture(Entry& entry, const NamedTensors& inputs, const TensorFunction& network) {
  NamedTensors own;
  for (const auto& [input, tensor] : inputs.entries()) own.add(input, own_memory(tensor, stream_->device()));
  entry.inputs = std::move(own);
  try {
    entry.graph = stream_->capture([&entry, network] { entry.outputs = network(entry.inputs); });
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error& error) {
    if (stream_->runtime().fault(stream_->stream())) throw;
    const std::string words = error.what_without_backtrace();
    if (says_out_of_memory(words)) throw;
    throw Error("ERR_CUDA_GRAPH", "this computation cannot be captured in a CUDA graph (run it without cudaGraph): " +
                                      words.substr(0, words.find('\n')));
  }
  stream_->graphs += 1;
}

GraphCache::Entry* GraphCache::find(const std::string& kind) {
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->kind != kind) continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return &entries_.front();
  }
  return nullptr;
}

void GraphCache::trim(int64_t capacity) {
  while (static_cast<int64_t>(entries_.size()) > capacity) {
    if (entries_.back().graph != nullptr) stream_->graphs -= 1;
    entries_.pop_back();
  }
}

void GraphCache::drop() { trim(0); }

void GraphCache::forget() {
  if (stream_ == nullptr) return;
  stream_->remove_cache(this);
  trim(0);
  stream_ = nullptr;
}

}  // namespace freqfusion::node
