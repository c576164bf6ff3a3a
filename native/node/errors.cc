#include "native/node/errors.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>
#include <string_view>

#include "native/node/device_stream.h"

namespace freqfusion::node {
namespace {

Napi::Value make(Napi::Env env, const std::string& code, const std::string& message, const std::string& expected = {},
                 const std::string& actual = {}) {
  Napi::Object error = Napi::Error::New(env, message).Value();
  error.Set("code", code);
  if (!expected.empty()) error.Set("expected", expected);
  if (!actual.empty()) error.Set("actual", actual);
  return error;
}

// The operator library knows no codes, only the wording "expected X for NAME, got Y": X and Y are read back from it.
Napi::Value from_torch(Napi::Env env, const std::string& text) {
  const std::string message = text.substr(0, text.find("\nException raised from"));
  constexpr std::string_view start = "expected ", middle = " for ", end = ", got ";
  const size_t got = message.rfind(end);
  const size_t name = got == std::string::npos ? got : message.rfind(middle, got);
  if (message.rfind(start, 0) != 0 || name == std::string::npos) return make(env, "ERR_TORCH", message);
  return make(env, "ERR_ARGUMENT", message, message.substr(start.size(), name - start.size()),
              message.substr(got + end.size()));
}

}  // namespace

Napi::Value current_exception_to_js(Napi::Env env) {
  try {
    throw;
  } catch (const Napi::Error& error) {
    return error.Value();
  } catch (const DeviceMemoryError& error) {
    Napi::Object object = make(env, error.code(), error.what()).As<Napi::Object>();
    object.Set("requestedBytes", static_cast<double>(error.requested()));
    object.Set("freeBytes", static_cast<double>(error.free()));
    object.Set("reservedBytes", static_cast<double>(error.reserved()));
    return object;
  } catch (const freqfusion::Error& error) {
    return make(env, error.code(), error.what(), error.expected(), error.actual());
  } catch (const c10::OutOfMemoryError& error) {
    return make(env, "ERR_OUT_OF_MEMORY", error.what_without_backtrace());
  } catch (const c10::Error& error) {
    return from_torch(env, error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return make(env, "ERR_OUT_OF_MEMORY", "the system has no memory left for this call");
  } catch (const std::exception& error) {
    return make(env, "ERR_INTERNAL", error.what());
  } catch (...) {
    return make(env, "ERR_INTERNAL", "an exception of unknown type");
  }
}

}  // namespace freqfusion::node
