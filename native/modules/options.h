#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace freqfusion {

// A plain options object as JavaScript passes it: null, booleans, numbers, strings, lists and nested objects.
// Every getter names the option in its error (ERR_OPTION_TYPE); `reject_unknown` turns a typo into an error.
class Options {
 public:
  using List = std::vector<Options>;
  using Map = std::map<std::string, Options>;

  Options() = default;
  explicit Options(bool value) : value_(value) {}
  explicit Options(double value) : value_(value) {}
  explicit Options(std::string value) : value_(std::move(value)) {}
  explicit Options(List value);
  explicit Options(Map value);

  bool has(const std::string& key) const;  // present and not null
  bool is_list(const std::string& key) const;
  void set(const std::string& key, Options value);

  bool boolean(const std::string& key, bool fallback) const;
  int64_t integer(const std::string& key, int64_t fallback) const;
  int64_t integer(const std::string& key) const;  // required
  double number(const std::string& key, double fallback) const;
  std::string string(const std::string& key, const std::string& fallback) const;
  // One of `allowed`, or ERR_OPTION_VALUE naming them all.
  std::string choice(const std::string& key, const std::string& fallback,
                     const std::vector<std::string>& allowed) const;
  std::vector<int64_t> integers(const std::string& key, const std::vector<int64_t>& fallback) const;
  std::vector<double> numbers(const std::string& key, const std::vector<double>& fallback) const;
  // The nested object, or an empty one; its errors are named "outer.inner".
  Options child(const std::string& key) const;

  // ERR_OPTION_UNKNOWN for a key outside `known`, naming the nearest known one.
  void reject_unknown(const std::vector<std::string>& known) const;

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }

 private:
  const Options* find(const std::string& key) const;
  std::string path_of(const std::string& key) const;
  std::string describe() const;
  double required_number(const std::string& key, const Options& value, bool integral) const;
  std::vector<double> number_list(const std::string& key, const std::vector<double>& fallback, bool integral) const;

  std::variant<std::monostate, bool, double, std::string, std::shared_ptr<const List>, std::shared_ptr<Map>> value_;
  std::string path_;
};

// The name of `known` with the smallest edit distance, or "" where none is near (over a third of the length away).
std::string nearest_name(const std::string& name, const std::vector<std::string>& known);
// "a, b, c", for messages.
std::string join(const std::vector<std::string>& words);

}  // namespace freqfusion
