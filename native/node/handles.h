#pragma once

#include <napi.h>

#include <memory>
#include <utility>

#include "native/node/environment.h"
#include "native/node/errors.h"

namespace freqfusion::node {

// A native object behind a type-tagged external. T has a static `tag` and a static `what` for error messages.
// release() drops the object at once; the finalizer drops it when the external is collected.
template <typename T>
struct Handle {
  std::unique_ptr<T> value;

  static Napi::Value wrap(Napi::Env env, std::unique_ptr<T> value) {
    auto handle = std::make_unique<Handle>();
    handle->value = std::move(value);
    napi_value external;
    check(napi_create_external(env, handle.get(), &Handle::finalize, nullptr, &external));
    handle.release();  // the external owns it from here
    check(napi_type_tag_object(env, external, &T::tag));
    return Napi::Value(env, external);
  }

  static Handle& of(const Napi::Value& value) {
    bool tagged = false;
    if (value.IsExternal()) napi_check_object_type_tag(value.Env(), value, &T::tag, &tagged);
    if (!tagged) throw Error::argument("ERR_HANDLE", "handle", std::string("a ") + T::what, "another value");
    void* data = nullptr;
    check(napi_get_value_external(value.Env(), value, &data));
    return *static_cast<Handle*>(data);
  }

  // The live object, or ERR_DISPOSED.
  static T& get(const Napi::Value& value) {
    Handle& handle = of(value);
    if (!handle.value) {
      throw Error::argument("ERR_DISPOSED", "handle", std::string("a live ") + T::what,
                            std::string("a disposed ") + T::what);
    }
    return *handle.value;
  }

  void release(napi_env env) {
    if (!value) return;
    value->on_release(env);
    value.reset();
  }

 private:
  static void finalize(napi_env env, void* data, void*) {
    std::unique_ptr<Handle> handle(static_cast<Handle*>(data));
    handle->release(env);
  }
  static void check(napi_status status) {
    if (status != napi_ok) throw Error("ERR_INTERNAL", "a Node-API call on a handle failed");
  }
};

}  // namespace freqfusion::node
