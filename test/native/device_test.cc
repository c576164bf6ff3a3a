// What the addon does with its GPUs, on a GPU that is made up: retries, losses, streams, graphs, transfers. Prints a
// line for each test and ends with `N passed, N failed`.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <cstdio>
#include <functional>

#include "native/node/allocator.h"
#include "native/node/device_stream.h"
#include "native/node/graph_cache.h"
#include "native/node/transfers.h"
#include "test/native/fake_device.h"

namespace freqfusion::node {

DeviceRuntime* device_runtime() { return nullptr; }
at::Tensor FakeDevice::pinned_like(const at::Tensor& tensor) { return at::empty_like(tensor); }

namespace {

int passed = 0, failed = 0;

struct Failure {
  std::string what;
};

void expect(bool condition, const char* what) {
  if (!condition) throw Failure{what};
}
#define EXPECT(condition) expect((condition), #condition)

void test(const char* name, const std::function<void()>& run) {
  std::string reason;
  try {
    run();
  } catch (const Failure& failure) {
    reason = "expected " + failure.what;
  } catch (const std::exception& error) {
    reason = std::string("it threw: ") + error.what();
  }
  (reason.empty() ? passed : failed) += 1;
  std::printf("%s %s%s%s\n", reason.empty() ? "ok" : "FAILED", name, reason.empty() ? "" : ": ", reason.c_str());
}

// The code of what `run` throws, or the kind of another exception.
std::string thrown(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.code();
  } catch (const c10::OutOfMemoryError&) {
    return "c10::OutOfMemoryError";
  } catch (const c10::Error&) {
    return "c10::Error";
  }
  return "nothing";
}

struct CountingCache final : DeviceCache {
  int dropped = 0;
  void drop() override { dropped += 1; }
};

void test_memory() {
  test("work that fits runs once", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    int runs = 0;
    stream.run([&] { runs += 1; });
    EXPECT(runs == 1 && gpu.emptied == 0);
  });
  test("work that runs out of memory once is done after caches were dropped", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    CountingCache cache;
    stream.add_cache(&cache);
    int runs = 0;
    stream.run([&] {
      if (++runs == 1) gpu.run_out_of_memory(4096);
    });
    EXPECT(runs == 2 && cache.dropped == 1 && gpu.emptied == 1);
  });
  test("work that runs out of memory twice gives the bytes, and the next work is done", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 1);
    int runs = 0;
    try {
      stream.run([&] {
        runs += 1;
        gpu.run_out_of_memory(4096);
      });
      EXPECT(false);
    } catch (const DeviceMemoryError& error) {
      EXPECT(error.code() == "ERR_CUDA_OUT_OF_MEMORY");
      EXPECT(error.requested() == 4096 && error.free() == 600 && error.reserved() == 400);
      EXPECT(std::string(error.what()).rfind("cuda:1 is out of memory", 0) == 0);
    }
    EXPECT(runs == 2);
    stream.run([&] { runs += 1; });
    EXPECT(runs == 3);
  });
  test("memory that a library asks for beside the allocator is treated alike", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    int runs = 0;
    const auto work = [&] {
      runs += 1;
      TORCH_CHECK(false, "cuDNN error: CUDNN_STATUS_ALLOC_FAILED");
    };
    EXPECT(thrown([&] { stream.run(work); }) == "ERR_CUDA_OUT_OF_MEMORY" && runs == 2);
  });
  test("memory that the CPU lacks is no matter of the device's", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    int runs = 0;
    const auto work = [&] {
      runs += 1;
      TORCH_CHECK_WITH(OutOfMemoryError, false, "out of memory");
    };
    EXPECT(thrown([&] { stream.run(work); }) == "c10::OutOfMemoryError" && runs == 1 && gpu.emptied == 0);
  });
  test("the JavaScript thread retries, and leaves the queue's graphs alone", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    CountingCache cache;
    stream.add_cache(&cache);
    int runs = 0;
    stream.run_beside_queue([&] {
      if (++runs == 1) gpu.run_out_of_memory(1);
    });
    EXPECT(runs == 2 && cache.dropped == 0 && gpu.emptied == 1);
  });
  test("what only waits is not done twice", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    int runs = 0;
    const auto work = [&] {
      runs += 1;
      gpu.run_out_of_memory(1);
    };
    EXPECT(thrown([&] { stream.finish(work); }) == "ERR_CUDA_OUT_OF_MEMORY" && runs == 1);
  });
}

void test_loss() {
  test("an error of a device that answers is passed on", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    EXPECT(thrown([&] { stream.run([] { TORCH_CHECK(false, "expected a shape"); }); }) == "c10::Error");
    EXPECT(thrown([&] { stream.run([] { throw Error("ERR_SHAPE", "expected"); }); }) == "ERR_SHAPE");
    EXPECT(thrown([&] { stream.run([] {}); }) == "nothing");
  });
  test("a device that died is lost for ever and for everyone, at once; the others go on", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0), neighbour(gpu, 0), other(gpu, 1);
    int runs = 0;
    const auto work = [&] { runs += 1; };
    EXPECT(thrown([&] { stream.run([&] { gpu.die(0, "an illegal memory access was encountered"); }); }) ==
           "ERR_CUDA_DEVICE_LOST");
    gpu.faults.clear();  // nobody asks the device again
    for (DeviceStream* each : {&stream, &neighbour}) {
      EXPECT(thrown([&] { each->run(work); }) == "ERR_CUDA_DEVICE_LOST");
      EXPECT(thrown([&] { each->run_beside_queue(work); }) == "ERR_CUDA_DEVICE_LOST");
      EXPECT(thrown([&] { each->finish(work); }) == "ERR_CUDA_DEVICE_LOST");
    }
    EXPECT(runs == 0);
    other.run(work);
    EXPECT(runs == 1);
  });
  test("the loss names the device and what it died of", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 1);
    try {
      stream.finish([&] { gpu.die(1, "unspecified launch failure"); });
      EXPECT(false);
    } catch (const Error& error) {
      EXPECT(std::string(error.what()).rfind("cuda:1 has failed (unspecified launch failure)", 0) == 0);
    }
  });
  test("a device that dies in the retry is lost, not out of memory", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    int runs = 0;
    EXPECT(thrown([&] {
             stream.run([&] {
               if (++runs == 1) gpu.run_out_of_memory(1);
               gpu.die(0, "misaligned address");
             });
           }) == "ERR_CUDA_DEVICE_LOST");
  });
}

void test_streams() {
  test("each device has one stream, the CPU has none", [] {
    FakeDevice gpu;
    DeviceStreams streams(&gpu);
    EXPECT(streams.on(c10::Device(c10::kCPU)) == nullptr);
    const auto first = streams.on(c10::Device(c10::kCUDA, 0)), second = streams.on(c10::Device(c10::kCUDA, 1));
    EXPECT(first->stream() != second->stream());
    EXPECT(streams.on(c10::Device(c10::kCUDA)) == first && streams.on(c10::Device(c10::kCUDA, 1)) == second);
  });
  test("a new stream is the calling thread's at once, and every job gets all of them", [] {
    FakeDevice gpu;
    DeviceStreams streams(&gpu);
    streams.on(c10::Device(c10::kCUDA, 1));
    EXPECT((gpu.made_current == std::vector<std::pair<int, int>>{{1, 1}}));
    streams.on(c10::Device(c10::kCUDA, 0));
    gpu.made_current.clear();
    streams.make_current();
    EXPECT((gpu.made_current == std::vector<std::pair<int, int>>{{1, 1}, {0, 2}}));
  });
  test("a GPU that cannot be set up is told as what it is, and is tried again", [] {
    FakeDevice gpu;
    DeviceStreams streams(&gpu);
    const auto use = [&] { streams.on(c10::Device(c10::kCUDA, 0)); };
    gpu.on_new_stream = [] { TORCH_CHECK(false, "CUDA error: out of memory"); };
    EXPECT(thrown(use) == "ERR_CUDA_OUT_OF_MEMORY");
    gpu.on_new_stream = [] { TORCH_CHECK(false, "CUDA error: CUDA-capable device(s) is/are busy or unavailable"); };
    EXPECT(thrown(use) == "ERR_DEVICE" && streams.all().empty());
    gpu.on_new_stream = nullptr;
    EXPECT(thrown(use) == "nothing" && streams.all().size() == 1);
  });
  test("a GPU that died is not set up for another environment", [] {
    FakeDevice gpu;
    DeviceStreams streams(&gpu);
    gpu.lose(0, "misaligned address");
    EXPECT(thrown([&] { streams.on(c10::Device(c10::kCUDA, 0)); }) == "ERR_CUDA_DEVICE_LOST");
    EXPECT(streams.on(c10::Device(c10::kCUDA, 1)) != nullptr);
  });
  test("two environments have a stream each", [] {
    FakeDevice gpu;
    DeviceStreams one(&gpu), two(&gpu);
    EXPECT(one.on(c10::Device(c10::kCUDA, 0))->stream() != two.on(c10::Device(c10::kCUDA, 0))->stream());
  });
  test("a build without CUDA has no streams",
       [] { EXPECT(DeviceStreams(nullptr).on(c10::Device(c10::kCUDA, 0)) == nullptr); });
  test("a name becomes a device that is there", [] {
    EXPECT(choose_device("cpu", std::nullopt) == c10::Device(c10::kCPU));
    EXPECT(choose_device("cuda", 2) == c10::Device(c10::kCUDA, 0));
    EXPECT(choose_device("cuda:1", 2) == c10::Device(c10::kCUDA, 1));
  });
  test("a device that is not there is an error that says which are", [] {
    const auto expected = [](const char* name, std::optional<int> count) {
      try {
        choose_device(name, count);
      } catch (const Error& error) {
        return error.code() + ' ' + error.expected();
      }
      return std::string("nothing");
    };
    EXPECT(expected("cuda", std::nullopt) == "ERR_DEVICE a device that this libtorch supports (cpu)");
    EXPECT(expected("cuda", 0).rfind("ERR_DEVICE cpu", 0) == 0);
    EXPECT(expected("cuda:1", 1) == "ERR_DEVICE cuda:0, the one GPU there is");
    EXPECT(expected("cuda:5", 2) == "ERR_DEVICE one of the 2 GPUs cuda:0 to cuda:1");
    for (const char* large : {"cuda:256", "cuda:4294967296", "cuda:99999999999999999999"}) {
      EXPECT(expected(large, 2) == "ERR_DEVICE one of the 2 GPUs cuda:0 to cuda:1");
    }
    for (const char* wrong : {"cuda:01", "cuda:-1", "cuda:-0", "cuda:", "cuda:1x", "cuda: 1", "cud", "meta", ""}) {
      EXPECT(expected(wrong, 2) == "ERR_DEVICE cpu, cuda or cuda:N");
    }
  });
}

NamedTensors named(const char* name, at::Tensor tensor) {
  NamedTensors tensors;
  tensors.add(name, std::move(tensor));
  return tensors;
}

// A network y = weight * x that counts its calls.
struct Network {
  FakeDevice gpu;
  std::shared_ptr<DeviceStream> stream = std::make_shared<DeviceStream>(gpu, 0);
  at::Tensor weight = at::full({1}, 3.0);
  int calls = 0;
  TensorFunction function = [this](const NamedTensors& in) {
    calls += 1;
    return named("y", in.require("x").mul(weight));
  };

  at::Tensor run(GraphCache& cache, at::Tensor x, int64_t capacity = 8, const char* name = "forward") {
    return cache.run(stream, name, named("x", std::move(x)), function, capacity).require("y");
  }
};

bool all(const at::Tensor& tensor, double value) { return tensor.eq(value).all().item<bool>(); }

void test_graphs() {
  test("the first run is ordinary, the second captures, all later ones replay", [] {
    Network network;
    GraphCache cache;
    EXPECT(all(network.run(cache, at::full({2, 2}, 1.0)), 3) && network.gpu.captured == 0);
    EXPECT(all(network.run(cache, at::full({2, 2}, 2.0)), 6) && network.gpu.captured == 1);
    EXPECT(all(network.run(cache, at::full({2, 2}, 5.0)), 15) && network.gpu.captured == 1);
    EXPECT(network.gpu.replayed == 2 && network.stream->graphs == 1);
  });
  test("a result is not written over by the next one", [] {
    Network network;
    GraphCache cache;
    network.run(cache, at::ones({2}));
    const at::Tensor first = network.run(cache, at::full({2}, 2.0)), second = network.run(cache, at::full({2}, 4.0));
    EXPECT(all(first, 6) && all(second, 12));
  });
  test("shapes, dtypes, layouts and names are kinds of their own", [] {
    Network network;
    GraphCache cache;
    const at::Tensor map = at::ones({1, 2, 3, 4});
    for (int i = 0; i < 2; ++i) {
      network.run(cache, map);
      network.run(cache, map, 8, "forward{\"stages\":true}");
      network.run(cache, map.to(at::kDouble));
      network.run(cache, map.contiguous(at::MemoryFormat::ChannelsLast));
      network.run(cache, at::ones({1, 2, 4, 3}));
    }
    EXPECT(network.gpu.captured == 5 && network.stream->graphs == 5);
  });
  test("a view is the kind of its shape, whatever it is cut from", [] {
    Network network;
    GraphCache cache;
    network.run(cache, at::ones({1, 1, 8, 8}).narrow(3, 0, 4));
    EXPECT(all(network.run(cache, at::ones({1, 1, 8, 16}).narrow(3, 2, 4)), 3) && network.gpu.captured == 1);
  });
  test("beyond the capacity the kind used longest ago goes", [] {
    Network network;
    GraphCache cache;
    const auto twice = [&](int64_t size) {
      network.run(cache, at::ones({size}), 2);
      network.run(cache, at::ones({size}), 2);
    };
    twice(1);
    twice(2);
    network.run(cache, at::ones({1}), 2);  // so that 2 is the older one
    twice(3);
    EXPECT(network.gpu.captured == 3 && network.stream->graphs == 2);
    network.run(cache, at::ones({1}), 2);
    EXPECT(network.gpu.captured == 3);
    twice(2);
    EXPECT(network.gpu.captured == 4 && network.stream->graphs == 2);
  });
  test("dropped graphs are captured anew, after a run that warms up", [] {
    Network network;
    GraphCache cache;
    network.run(cache, at::ones({1}));
    network.run(cache, at::ones({1}));
    cache.drop();
    EXPECT(network.stream->graphs == 0);
    network.weight = at::full({1}, 7.0);
    EXPECT(all(network.run(cache, at::ones({1})), 7) && network.gpu.captured == 1);
    EXPECT(all(network.run(cache, at::ones({1})), 7) && network.gpu.captured == 2);
  });
  test("where memory is short the graphs go, and the run is done without one", [] {
    Network network;
    GraphCache cache;
    network.run(cache, at::ones({1}));
    network.gpu.on_capture = [&] { network.gpu.run_out_of_memory(1); };
    at::Tensor result;
    network.stream->run([&] { result = network.run(cache, at::ones({1})); });
    EXPECT(all(result, 3) && network.gpu.captured == 0 && network.stream->graphs == 0);
  });
  test("memory that CUDA itself lacks for a graph is no reason to refuse it", [] {
    Network network;
    GraphCache cache;
    network.run(cache, at::ones({1}));
    network.gpu.on_capture = [] { TORCH_CHECK(false, "CUDA error: out of memory"); };
    at::Tensor result;
    network.stream->run([&] { result = network.run(cache, at::ones({1})); });
    EXPECT(all(result, 3) && network.gpu.emptied == 1 && network.stream->graphs == 0);
  });
  test("inputs on another device are a kind of their own", [] {
    Network network;
    GraphCache cache;
    network.function = [](const NamedTensors&) { return named("y", at::ones({1})); };
    network.run(cache, at::ones({2}));
    network.run(cache, at::ones({2}).to(at::kMeta));
    EXPECT(network.gpu.captured == 0);
  });
  test("what cannot be captured is an error that says so", [] {
    Network network;
    GraphCache cache;
    network.run(cache, at::ones({1}));
    network.gpu.on_capture = [] { TORCH_CHECK(false, "operation not permitted when stream is capturing"); };
    EXPECT(thrown([&] { network.stream->run([&] { network.run(cache, at::ones({1})); }); }) == "ERR_CUDA_GRAPH");
    network.gpu.on_capture = [&] { network.gpu.die(0, "unspecified launch failure"); };
    EXPECT(thrown([&] { network.stream->run([&] { network.run(cache, at::ones({1})); }); }) == "ERR_CUDA_DEVICE_LOST");
  });
  test("a cache that is destroyed leaves nothing behind on its stream", [] {
    Network network;
    {
      GraphCache cache;
      network.run(cache, at::ones({1}));
      network.run(cache, at::ones({1}));
    }
    EXPECT(network.stream->graphs == 0);
    int runs = 0;
    network.stream->run([&] {
      if (++runs == 1) network.gpu.run_out_of_memory(1);  // would call a cache that is gone
    });
    EXPECT(runs == 2);
  });
  test("a module that moved captures on its new stream", [] {
    Network network;
    GraphCache cache;
    network.run(cache, at::ones({1}));
    network.run(cache, at::ones({1}));
    const auto before = network.stream;
    network.stream = std::make_shared<DeviceStream>(network.gpu, 1);
    network.run(cache, at::ones({1}));
    network.run(cache, at::ones({1}));
    EXPECT(before->graphs == 0 && network.stream->graphs == 1);
  });
  test("of a method with host work the networks alone are captured", [] {
    Network network;
    GraphCache cache;
    GraphRunner runner(cache, network.stream, 8);
    const auto method = [&] { return run_network("logits", named("x", at::ones({1})), network.function); };
    method();
    EXPECT(network.gpu.captured == 0 && network.calls == 1);
    {
      const NetworkRunnerScope scope(runner);
      method();
      method();
    }
    EXPECT(network.gpu.captured == 1);
    method();
    EXPECT(network.gpu.replayed == 1);
  });
}

void test_allocator() {
  test("what a queue needed is kept for its next job, though other queues rest beside it", [] {
    install_allocator();
    constexpr int64_t kGigabyte = int64_t{1} << 30;
    const auto take = [](double gigabytes) {  // untouched, it takes no memory
      return at::empty({static_cast<int64_t>(gigabytes * kGigabyte)}, at::kByte);
    };
    take(2.2);
    for (int queue = 0; queue < 3; ++queue) trim_allocator_cache();
    take(1.05);
    take(0.9);
    EXPECT(allocator_stats().cached_bytes > 1.9 * kGigabyte);
    take(1.05);
    trim_allocator_cache();
    take(0.3);
    trim_allocator_cache();  // none of the last two pauses needed as much
    EXPECT(allocator_stats().cached_bytes <= kGigabyte);
  });
}

void test_transfers() {
  test("an upload keeps values and layout", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    const at::Tensor map = at::ones({1, 2, 3, 4}).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor there = upload(map, stream);
    EXPECT(there.strides() == map.strides() && all(there, 1) && there.data_ptr() != map.data_ptr());
    EXPECT(upload(at::zeros({0, 3}), stream).numel() == 0);
  });
  test("a download is in C order, and is waited for when it is taken", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    const at::Tensor map = at::ones({1, 2, 3, 4}).contiguous(at::MemoryFormat::ChannelsLast);
    Download download = Download::start(map, stream);
    EXPECT(gpu.waited == 0);
    const at::Tensor here = download.take();
    EXPECT(gpu.waited == 1 && here.is_contiguous() && all(here, 1) && here.data_ptr() != map.data_ptr());
  });
  test("a download from a device that has died says so", [] {
    FakeDevice gpu;
    DeviceStream stream(gpu, 0);
    Download download = Download::start(at::ones({1}), stream);
    gpu.faults[0] = "an illegal memory access was encountered";
    EXPECT(thrown([&] { stream.finish([&] { download.take(); }); }) == "ERR_CUDA_DEVICE_LOST");
  });
}

}  // namespace
}  // namespace freqfusion::node

int main() {
  using namespace freqfusion::node;
  test_memory();
  test_loss();
  test_streams();
  test_graphs();
  test_allocator();
  test_transfers();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
