#include "native/modules/options.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "native/modules/error.h"

namespace freqfusion {

namespace {

constexpr double kLargestExactInteger = 9007199254740991.0;  // 2^53 - 1, the last one of JavaScript

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  char shorter[32];
  std::snprintf(shorter, sizeof shorter, "%g", value);
  return std::strtod(shorter, nullptr) == value ? shorter : text;
}

}  // namespace

std::string nearest_name(const std::string& name, const std::vector<std::string>& known) {
  std::string best;
  size_t least = name.size() / 3 + 1;
  for (const std::string& candidate : known) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < least || (distance == least && best.empty())) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

Options::Options(List value) : value_(std::make_shared<const List>(std::move(value))) {}

Options::Options(Map value) : value_(std::make_shared<Map>(std::move(value))) {}

bool Options::has(const std::string& key) const {
  const Options* value = find(key);
  return value != nullptr && !value->is_null();
}

bool Options::is_list(const std::string& key) const {
  return has(key) && std::holds_alternative<std::shared_ptr<const List>>(find(key)->value_);
}

void Options::set(const std::string& key, Options value) {
  // Copies of an Options share their map, so a change is made on a map of this object's own.
  auto* current = std::get_if<std::shared_ptr<Map>>(&value_);
  auto own = current == nullptr ? std::make_shared<Map>() : std::make_shared<Map>(**current);
  own->insert_or_assign(key, std::move(value));
  value_ = std::move(own);
}

bool Options::boolean(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  const Options& value = *find(key);
  if (const bool* flag = std::get_if<bool>(&value.value_)) return *flag;
  throw Error::argument("ERR_OPTION_TYPE", path_of(key), "a boolean", value.describe());
}

int64_t Options::integer(const std::string& key, int64_t fallback) const {
  return has(key) ? static_cast<int64_t>(required_number(key, *find(key), true)) : fallback;
}

int64_t Options::integer(const std::string& key) const {
  if (!has(key)) throw Error::argument("ERR_OPTION_MISSING", path_of(key), "an integer", "nothing");
  return integer(key, 0);
}

double Options::number(const std::string& key, double fallback) const {
  return has(key) ? required_number(key, *find(key), false) : fallback;
}

std::string Options::string(const std::string& key, const std::string& fallback) const {
  if (!has(key)) return fallback;
  const Options& value = *find(key);
  if (const std::string* text = std::get_if<std::string>(&value.value_)) return *text;
  throw Error::argument("ERR_OPTION_TYPE", path_of(key), "a string", value.describe());
}

std::string Options::choice(const std::string& key, const std::string& fallback,
                            const std::vector<std::string>& allowed) const {
  std::string value = string(key, fallback);
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  throw Error::argument("ERR_OPTION_VALUE", path_of(key), "one of " + join(allowed), '"' + value + '"');
}

std::vector<int64_t> Options::integers(const std::string& key, const std::vector<int64_t>& fallback) const {
  if (!has(key)) return fallback;
  const std::vector<double> values = number_list(key, {}, true);
  return {values.begin(), values.end()};
}

std::vector<double> Options::numbers(const std::string& key, const std::vector<double>& fallback) const {
  return number_list(key, fallback, false);
}

Options Options::child(const std::string& key) const {
  Options nested;
  if (has(key)) {
    nested = *find(key);
    if (!std::holds_alternative<std::shared_ptr<Map>>(nested.value_)) {
      throw Error::argument("ERR_OPTION_TYPE", path_of(key), "an object", nested.describe());
    }
  }
  nested.path_ = path_of(key);
  return nested;
}

void Options::reject_unknown(const std::vector<std::string>& known) const {
  const auto* map = std::get_if<std::shared_ptr<Map>>(&value_);
  if (map == nullptr) return;
  for (const auto& [key, value] : **map) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string nearest = nearest_name(key, known);
    const std::string hint = nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?";
    const std::string expected = "one of " + join(known);
    const std::string name = path_.empty() ? "an option's name" : "the name of an option of " + path_;
    throw Error("ERR_OPTION_UNKNOWN", "expected " + expected + " for " + name + ", got \"" + key + '"' + hint, expected,
                '"' + key + '"');
  }
}

const Options* Options::find(const std::string& key) const {
  const auto* map = std::get_if<std::shared_ptr<Map>>(&value_);
  if (map == nullptr) return nullptr;
  const auto found = (*map)->find(key);
  return found == (*map)->end() ? nullptr : &found->second;
}

std::string Options::path_of(const std::string& key) const { return path_.empty() ? key : path_ + '.' + key; }

std::string Options::describe() const {
  if (const bool* flag = std::get_if<bool>(&value_)) return *flag ? "true" : "false";
  if (const double* value = std::get_if<double>(&value_)) return number_text(*value);
  if (const std::string* text = std::get_if<std::string>(&value_)) return '"' + *text + '"';
  if (const auto* list = std::get_if<std::shared_ptr<const List>>(&value_)) {
    return "a list of " + std::to_string((*list)->size());
  }
  return is_null() ? "null" : "an object";
}

double Options::required_number(const std::string& key, const Options& value, bool integral) const {
  const double* number = std::get_if<double>(&value.value_);
  const bool fits = number != nullptr && std::isfinite(*number) &&
                    (!integral || (std::trunc(*number) == *number && std::abs(*number) <= kLargestExactInteger));
  if (fits) return *number;
  throw Error::argument("ERR_OPTION_TYPE", path_of(key), integral ? "an integer" : "a finite number", value.describe());
}

std::vector<double> Options::number_list(const std::string& key, const std::vector<double>& fallback,
                                         bool integral) const {
  if (!has(key)) return fallback;
  const Options& value = *find(key);
  const auto* list = std::get_if<std::shared_ptr<const List>>(&value.value_);
  if (list == nullptr) {
    throw Error::argument("ERR_OPTION_TYPE", path_of(key), integral ? "a list of integers" : "a list of numbers",
                          value.describe());
  }
  std::vector<double> numbers;
  for (size_t i = 0; i < (*list)->size(); ++i) {
    numbers.push_back(required_number(key + '[' + std::to_string(i) + ']', (**list)[i], integral));
  }
  return numbers;
}

}  // namespace freqfusion
