#include "native/node/tensors.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>

#include <array>
#include <cstring>

#include "native/node/jobs.h"
#include "native/node/transfers.h"

namespace freqfusion::node {
namespace {

struct DTypeName {
  const char* name;
  at::ScalarType type;
};
constexpr std::array<DTypeName, 10> kDTypes = {{{"float32", at::kFloat},
                                                {"float64", at::kDouble},
                                                {"float16", at::kHalf},
                                                {"bfloat16", at::kBFloat16},
                                                {"int64", at::kLong},
                                                {"int32", at::kInt},
                                                {"int16", at::kShort},
                                                {"int8", at::kChar},
                                                {"uint8", at::kByte},
                                                {"bool", at::kBool}}};

struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
  napi_value buffer = nullptr;  // the ArrayBuffer beneath
};

Bytes bytes_of(const Napi::Value& value) {
  if (value.IsArrayBuffer()) {
    auto buffer = value.As<Napi::ArrayBuffer>();
    return {static_cast<uint8_t*>(buffer.Data()), buffer.ByteLength(), buffer};
  }
  if (value.IsTypedArray()) {
    auto view = value.As<Napi::TypedArray>();
    auto buffer = view.ArrayBuffer();
    return {static_cast<uint8_t*>(buffer.Data()) + view.ByteOffset(), view.ByteLength(), buffer};
  }
  if (value.IsDataView()) {
    auto view = value.As<Napi::DataView>();
    auto buffer = view.ArrayBuffer();
    return {static_cast<uint8_t*>(buffer.Data()) + view.ByteOffset(), view.ByteLength(), buffer};
  }
  throw Error::argument("ERR_TYPE", "bytes", "an ArrayBuffer or a view of one", "another value");
}

// A tensor over JavaScript memory. The reference that keeps the buffer alive is given back through the ledger,
// because the last owner of the tensor may be a job on another thread.
at::Tensor borrow(Napi::Env env, const Bytes& bytes, at::IntArrayRef shape, at::ScalarType dtype) {
  napi_ref reference = nullptr;
  if (napi_create_reference(env, bytes.buffer, 1, &reference) != napi_ok) {
    throw Error("ERR_INTERNAL", "the buffer could not be referenced");
  }
  auto ledger = Environment::of(env).ledger();
  return at::from_blob(
      bytes.data, shape, [ledger, reference](void*) { ledger->release_later(reference); },
      at::TensorOptions().dtype(dtype));
}

at::Tensor first(const Napi::CallbackInfo& info) { return unwrap_tensor(info[0]); }

// Wraps what `work` makes on a device. The JavaScript thread puts such work into the device's stream itself: it is
// ordered with that of the queue, and nothing waits for it.
template <typename Work>
Napi::Value wrap_on(const Napi::CallbackInfo& info, c10::Device device, const Work& work) {
  at::Tensor result;
  Environment::of(info.Env()).run_on(device, [&] { result = work(); });
  return wrap_tensor(info.Env(), std::move(result));
}

Napi::Value from_bytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Bytes bytes = bytes_of(info[0]);
  const at::ScalarType dtype = parse_dtype(info[1]);
  const std::vector<int64_t> shape = parse_integers(info[2]);
  const size_t element = c10::elementSize(dtype);
  const size_t need = c10::multiply_integers(shape) * element;
  if (bytes.length != need) {
    throw Error::argument("ERR_SHAPE", "bytes", std::to_string(need) + " bytes", std::to_string(bytes.length));
  }
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data) % element == 0;
  if (info[3].ToBoolean() && aligned && need > 0) return wrap_tensor(env, borrow(env, bytes, shape, dtype));
  at::Tensor copy = at::empty(shape, at::TensorOptions().dtype(dtype));
  if (need > 0) std::memcpy(copy.data_ptr(), bytes.data, need);
  if (dtype == at::kBool) {
    // Any byte but 0 and 1 in a bool tensor is undefined behaviour in libtorch's kernels.
    auto* flags = static_cast<uint8_t*>(copy.data_ptr());
    for (size_t i = 0; i < need; ++i) flags[i] = flags[i] != 0;
  }
  return wrap_tensor(env, std::move(copy));
}

Napi::Value full(const Napi::CallbackInfo& info) {
  const auto options = at::TensorOptions().dtype(parse_dtype(info[2])).device(parse_device(info[3]));
  const double value = info[1].As<Napi::Number>().DoubleValue();
  return wrap_on(info, options.device(), [&] { return at::full(parse_integers(info[0]), value, options); });
}

Napi::Value tensor_info(const Napi::CallbackInfo& info) {
  const at::Tensor& tensor = unwrap_tensor(info[0]);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("dtype", dtype_name(tensor.scalar_type()));
  result.Set("shape", to_array(info.Env(), tensor.sizes()));
  result.Set("strides", to_array(info.Env(), tensor.strides()));
  result.Set("device", tensor.device().str());
  result.Set("bytes", static_cast<double>(tensor.storage().nbytes()));
  return result;
}

Napi::Value dispose(const Napi::CallbackInfo& info) {
  Handle<TensorBox>::of(info[0]).release(info.Env());
  Environment::of(info.Env()).drain(info.Env());
  return info.Env().Undefined();
}

Napi::Value clone(const Napi::CallbackInfo& info) {
  const at::Tensor tensor = first(info);
  return wrap_on(info, tensor.device(), [&] { return tensor.clone(); });
}

Napi::Value reshape(const Napi::CallbackInfo& info) {
  const at::Tensor tensor = first(info);
  return wrap_on(info, tensor.device(), [&] { return tensor.reshape(parse_integers(info[1])); });
}

Napi::Value slice(const Napi::CallbackInfo& info) {
  const auto number = [&info](size_t i) { return info[i].As<Napi::Number>().Int64Value(); };
  return wrap_tensor(info.Env(), first(info).slice(number(1), number(2), number(3), number(4)));
}

Napi::Value permute(const Napi::CallbackInfo& info) {
  return wrap_tensor(info.Env(), first(info).permute(parse_integers(info[1])));
}

Napi::Value contiguous(const Napi::CallbackInfo& info) {
  const auto format = info[1].ToBoolean() ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  const at::Tensor tensor = first(info);
  return wrap_on(info, tensor.device(), [&] { return tensor.contiguous(format); });
}

Napi::Value cat(const Napi::CallbackInfo& info) {
  const auto list = info[0].As<Napi::Array>();
  std::vector<at::Tensor> tensors;
  for (uint32_t i = 0; i < list.Length(); ++i) tensors.push_back(unwrap_tensor(list.Get(i)));
  const int64_t dim = info[1].As<Napi::Number>().Int64Value();
  return wrap_on(info, tensors.at(0).device(), [&] { return at::cat(tensors, dim); });
}

// To a GPU without waiting, to the CPU with: the result can be read at once.
Napi::Value to(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  const at::Tensor tensor = first(info);
  const c10::Device device = info[2].IsNull() ? tensor.device() : parse_device(info[2]);
  const at::ScalarType dtype = info[1].IsNull() ? tensor.scalar_type() : parse_dtype(info[1]);
  environment.stream(tensor.device());  // a copy between two GPUs uses the streams of both
  const auto target = environment.stream(device);
  return wrap_on(info, device.is_cpu() ? tensor.device() : device, [&] {
    const bool up = target != nullptr && tensor.is_cpu();
    return (up ? upload(tensor, *target) : tensor.to(device)).to(dtype);
  });
}

Napi::Value item(const Napi::CallbackInfo& info) {
  const at::Tensor tensor = first(info);
  at::Scalar scalar;
  Environment::of(info.Env()).run_on(tensor.device(), [&] { scalar = tensor.item(); });
  if (tensor.scalar_type() == at::kLong) return Napi::BigInt::New(info.Env(), scalar.toLong());
  if (tensor.scalar_type() == at::kBool) return Napi::Boolean::New(info.Env(), scalar.toBool());
  return Napi::Number::New(info.Env(), scalar.toDouble());
}

at::Tensor packed_copy(const at::Tensor& tensor) {
  return tensor.to(at::kCPU).contiguous().clone(at::MemoryFormat::Contiguous);
}

// An ArrayBuffer over a tensor that nobody else holds: no second copy. Runtimes that forbid foreign memory
// (Electron) get a copy.
Napi::Value to_array_buffer(Napi::Env env, at::Tensor tensor) {
  const size_t length = tensor.numel() * tensor.element_size();
  if (length == 0) return Napi::ArrayBuffer::New(env, 0);
  auto owner = std::make_unique<at::Tensor>(std::move(tensor));
  void* data = owner->data_ptr();
  napi_value buffer;
  const auto finalize = [](napi_env, void*, void* hint) { delete static_cast<at::Tensor*>(hint); };
  if (napi_create_external_arraybuffer(env, data, length, finalize, owner.get(), &buffer) == napi_ok) {
    owner.release();
    return Napi::Value(env, buffer);
  }
  auto copy = Napi::ArrayBuffer::New(env, length);
  std::memcpy(copy.Data(), data, length);
  return copy;
}

Napi::Value data_sync(const Napi::CallbackInfo& info) {
  const at::Tensor tensor = first(info);
  at::Tensor copy;
  Environment::of(info.Env()).run_on(tensor.device(), [&] { copy = packed_copy(tensor); });
  return to_array_buffer(info.Env(), std::move(copy));
}

// On a GPU the copy is put into the stream, and awaited beside the queue.
Napi::Value data(const Napi::CallbackInfo& info) {
  const at::Tensor tensor = first(info);
  const auto stream = Environment::of(info.Env()).stream(tensor.device());
  const auto copy = std::make_shared<at::Tensor>();
  std::function<void()> execute = [tensor, copy] { *copy = packed_copy(tensor); }, complete;
  if (stream != nullptr) {
    const auto download = std::make_shared<Download>();
    execute = [tensor, download, stream] { *download = Download::start(tensor, *stream); };
    complete = [download, copy] { *copy = download->take(); };
  }
  return submit(
      info, info.Env().Undefined(), tensor.device(), std::move(execute),
      [copy](Napi::Env env) { return to_array_buffer(env, std::move(*copy)); }, std::move(complete));
}

}  // namespace

void TensorBox::on_release(napi_env env) {
  ledger->live_tensors -= 1;
  ledger->tensor_bytes -= bytes;
  int64_t total = 0;
  napi_adjust_external_memory(env, -bytes, &total);
}

Napi::Value wrap_tensor(Napi::Env env, at::Tensor tensor) {
  auto box = std::make_unique<TensorBox>();
  box->bytes = static_cast<int64_t>(tensor.storage().nbytes());
  box->tensor = std::move(tensor);
  box->ledger = Environment::of(env).ledger();
  box->ledger->live_tensors += 1;
  box->ledger->tensor_bytes += box->bytes;
  int64_t total = 0;
  napi_adjust_external_memory(env, box->bytes, &total);
  return Handle<TensorBox>::wrap(env, std::move(box));
}

const at::Tensor& unwrap_tensor(const Napi::Value& value) { return Handle<TensorBox>::get(value).tensor; }

NamedTensors unwrap_tensors(const Napi::Value& record) {
  NamedTensors tensors;
  const auto object = record.As<Napi::Object>();
  const Napi::Array names = object.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const Napi::Value name = names.Get(i);
    const Napi::Value value = object.Get(name);
    if (!value.IsUndefined()) tensors.add(name.As<Napi::String>(), unwrap_tensor(value));
  }
  return tensors;
}

Napi::Value wrap_tensors(Napi::Env env, const NamedTensors& tensors) {
  Napi::Object record = Napi::Object::New(env);
  for (const auto& [name, tensor] : tensors.entries()) record.Set(name, wrap_tensor(env, tensor));
  return record;
}

at::ScalarType parse_dtype(const Napi::Value& value) {
  const std::string name = value.ToString();
  for (const DTypeName& each : kDTypes) {
    if (name == each.name) return each.type;
  }
  throw Error::argument("ERR_DTYPE", "dtype", "a dtype of freqfusion", name);
}

const char* dtype_name(at::ScalarType type) {
  for (const DTypeName& each : kDTypes) {
    if (type == each.type) return each.name;
  }
  throw Error::argument("ERR_DTYPE", "dtype", "a dtype of freqfusion", c10::toString(type));
}

c10::Device parse_device(const Napi::Value& value) {
  DeviceRuntime* runtime = device_runtime();
  return choose_device(value.ToString(), runtime == nullptr ? std::nullopt : std::optional(runtime->count()));
}

std::vector<int64_t> parse_integers(const Napi::Value& value) {
  const auto list = value.As<Napi::Array>();
  std::vector<int64_t> integers(list.Length());
  for (uint32_t i = 0; i < list.Length(); ++i) integers[i] = list.Get(i).As<Napi::Number>().Int64Value();
  return integers;
}

Napi::Array to_array(Napi::Env env, at::IntArrayRef values) {
  Napi::Array list = Napi::Array::New(env, values.size());
  for (size_t i = 0; i < values.size(); ++i) list.Set(i, static_cast<double>(values[i]));
  return list;
}

void export_tensors(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("tensorFromBytes", boundary<from_bytes>);
  add("tensorFull", boundary<full>);
  add("tensorInfo", boundary<tensor_info>);
  add("tensorDispose", boundary<dispose>);
  add("tensorClone", boundary<clone>);
  add("tensorReshape", boundary<reshape>);
  add("tensorSlice", boundary<slice>);
  add("tensorPermute", boundary<permute>);
  add("tensorContiguous", boundary<contiguous>);
  add("tensorCat", boundary<cat>);
  add("tensorTo", boundary<to>);
  add("tensorItem", boundary<item>);
  add("tensorData", boundary<data>);
  add("tensorDataSync", boundary<data_sync>);
}

}  // namespace freqfusion::node
