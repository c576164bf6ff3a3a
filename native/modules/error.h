#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace freqfusion {

// An error that reaches JavaScript as a FreqFusionError with the same code, expected and actual value.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message, std::string expected = {}, std::string actual = {})
      : std::runtime_error(message),
        code_(std::move(code)),
        expected_(std::move(expected)),
        actual_(std::move(actual)) {}

  const std::string& code() const { return code_; }
  const std::string& expected() const { return expected_; }
  const std::string& actual() const { return actual_; }

  // The project's one wording: "expected X for NAME, got Y".
  static Error argument(const std::string& code, const std::string& name, const std::string& expected,
                        const std::string& actual) {
    return Error(code, "expected " + expected + " for " + name + ", got " + actual, expected, actual);
  }

 private:
  std::string code_, expected_, actual_;
};

}  // namespace freqfusion
