#include "native/node/options.h"

#include "native/modules/error.h"

namespace freqfusion::node {
namespace {

Options convert(const Napi::Value& value, int depth) {
  if (depth > 16) throw Error::argument("ERR_OPTION_TYPE", "options", "at most 16 levels", "a deeper nesting");
  if (value.IsNull() || value.IsUndefined()) return Options();
  if (value.IsBoolean()) return Options(value.As<Napi::Boolean>().Value());
  if (value.IsNumber()) return Options(value.As<Napi::Number>().DoubleValue());
  if (value.IsString()) return Options(value.As<Napi::String>().Utf8Value());
  if (value.IsArray()) {
    const auto array = value.As<Napi::Array>();
    Options::List list;
    for (uint32_t i = 0; i < array.Length(); ++i) list.push_back(convert(array.Get(i), depth + 1));
    return Options(std::move(list));
  }
  if (value.IsObject() && !value.IsFunction() && !value.IsExternal()) {
    const auto object = value.As<Napi::Object>();
    const Napi::Array names = object.GetPropertyNames();
    Options::Map map;
    for (uint32_t i = 0; i < names.Length(); ++i) {
      const Napi::Value name = names.Get(i);
      const Napi::Value member = object.Get(name);
      if (!member.IsUndefined()) map.emplace(name.As<Napi::String>().Utf8Value(), convert(member, depth + 1));
    }
    return Options(std::move(map));
  }
  throw Error::argument("ERR_OPTION_TYPE", "options", "plain values (booleans, numbers, strings, arrays, objects)",
                        "a function, symbol or big integer");
}

}  // namespace

Options parse_options(const Napi::Value& value) {
  if (value.IsNull() || value.IsUndefined()) return Options(Options::Map());
  return convert(value, 0);
}

}  // namespace freqfusion::node
