#include "native/node/mapped_file.h"

#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "native/node/tensors.h"

namespace freqfusion::node {
namespace {

// A whole file in memory. Private and writable: a write to a tensor over it changes that process's copy of the page,
// never the file.
class Mapping {
 public:
  explicit Mapping(const std::string& path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) fail(path, "open");
    struct stat status{};
    if (fstat(file, &status) != 0) {
      close(file);
      fail(path, "stat");
    }
    if (!S_ISREG(status.st_mode)) {
      close(file);
      throw Error::argument("ERR_FILE", "path", "a regular file", path);
    }
    size_ = static_cast<size_t>(status.st_size);
    if (size_ > 0) data_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, 0);
    close(file);
    if (data_ == MAP_FAILED) {
      data_ = nullptr;
      fail(path, "map");
    }
  }
  Mapping(const Mapping&) = delete;
  ~Mapping() {
    if (data_ != nullptr) munmap(data_, size_);
  }

  // Gives the pages back without unmapping: one that is read again comes from the file again. What was written to a
  // page is lost.
  void drop_pages() const {
    if (data_ != nullptr) madvise(data_, size_, MADV_DONTNEED);
  }

  uint8_t* data() const { return static_cast<uint8_t*>(data_); }
  size_t size() const { return size_; }

  std::atomic<int64_t> tensors{0};  // over it, that live

 private:
  [[noreturn]] static void fail(const std::string& path, const char* step) {
    const std::string reason = std::strerror(errno);
    throw Error("ERR_FILE", std::string("cannot ") + step + " " + path + ": " + reason, "a readable file", reason);
  }

  void* data_ = nullptr;
  size_t size_ = 0;
};

struct MappedFileBox {
  static constexpr napi_type_tag tag = {0x1c95b7a0f2d34e88, 0x8f6a2be1d07c5390};
  static constexpr const char* what = "mapped file";

  std::shared_ptr<Mapping> mapping;

  void on_release(napi_env) {}
};

// What an ArrayBuffer of every supported Node.js can span; V8 aborts the process beyond its own limit.
constexpr size_t kLargestBuffer = size_t{1} << 32;

Napi::Value map_file(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = info[0].ToString();
  auto mapping = std::make_shared<Mapping>(path);
  if (mapping->size() > kLargestBuffer) {
    throw Error::argument("ERR_FILE", path, "a file of at most 4 GiB", std::to_string(mapping->size()) + " bytes");
  }
  napi_value buffer;
  auto owner = std::make_unique<std::shared_ptr<Mapping>>(mapping);
  const auto finalize = [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<Mapping>*>(hint); };
  if (mapping->size() == 0) {
    buffer = Napi::ArrayBuffer::New(env, 0);
  } else if (napi_create_external_arraybuffer(env, mapping->data(), mapping->size(), finalize, owner.get(), &buffer) ==
             napi_ok) {
    owner.release();
  } else {
    auto copy = Napi::ArrayBuffer::New(env, mapping->size());
    std::memcpy(copy.Data(), mapping->data(), mapping->size());
    buffer = copy;
  }
  auto box = std::make_unique<MappedFileBox>();
  box->mapping = std::move(mapping);
  Napi::Object result = Napi::Object::New(env);
  result.Set("handle", Handle<MappedFileBox>::wrap(env, std::move(box)));
  result.Set("buffer", Napi::Value(env, buffer));
  return result;
}

Napi::Value unmap_file(const Napi::CallbackInfo& info) {
  // The buffer lives until it is collected, which may be long after a model was loaded. Tensors over the file keep
  // their pages: they may have been written to.
  const std::shared_ptr<Mapping> mapping = Handle<MappedFileBox>::get(info[0]).mapping;
  if (mapping->tensors == 0) mapping->drop_pages();
  Handle<MappedFileBox>::of(info[0]).release(info.Env());
  return info.Env().Undefined();
}

// The furthest byte that a strided view reads, or an error: the caller's own checks are not trusted here.
void check_extent(const Mapping& mapping, int64_t offset, const std::vector<int64_t>& shape,
                  const std::vector<int64_t>& strides, size_t element) {
  const auto refuse = [&] {
    throw Error::argument("ERR_RANGE", "view", "a view inside the file of " + std::to_string(mapping.size()) + " bytes",
                          "one that reaches outside");
  };
  if (offset < 0 || shape.size() != strides.size() || offset % static_cast<int64_t>(element) != 0) refuse();
  __int128 last = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0 || strides[i] < 0) refuse();
    if (shape[i] == 0) return;
    last += static_cast<__int128>(shape[i] - 1) * strides[i];
  }
  if (offset + (last + 1) * static_cast<__int128>(element) > static_cast<__int128>(mapping.size())) refuse();
}

Napi::Value from_mapped(const Napi::CallbackInfo& info) {
  const std::shared_ptr<Mapping> mapping = Handle<MappedFileBox>::get(info[0]).mapping;
  const int64_t offset = info[1].As<Napi::Number>().Int64Value();
  const at::ScalarType dtype = parse_dtype(info[2]);
  const std::vector<int64_t> shape = parse_integers(info[3]);
  const std::vector<int64_t> strides = parse_integers(info[4]);
  check_extent(*mapping, offset, shape, strides, c10::elementSize(dtype));
  mapping->tensors += 1;
  at::Tensor view = at::from_blob(
      mapping->data() + offset, shape, strides, [mapping](void*) { mapping->tensors -= 1; },
      at::TensorOptions().dtype(dtype));
  return wrap_tensor(info.Env(), std::move(view));
}

}  // namespace

void export_mapped_files(Napi::Env env, Napi::Object exports) {
  exports.Set("mapFile", Napi::Function::New(env, boundary<map_file>, "mapFile"));
  exports.Set("unmapFile", Napi::Function::New(env, boundary<unmap_file>, "unmapFile"));
  exports.Set("tensorFromMapped", Napi::Function::New(env, boundary<from_mapped>, "tensorFromMapped"));
}

}  // namespace freqfusion::node
