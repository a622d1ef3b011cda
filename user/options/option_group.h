// SPDX-License-Identifier: Apache-2.0
// One titled group of options on the command line. CLI11 takes the arguments apart and lists the options; values and
// rules are checked by our own code, so that messages say what is wrong with what.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "user/result.h"

namespace CLI {
class App;
}

namespace alloctrail {

using Words = std::vector<std::string>;

/// ErrorKind::Usage.
[[nodiscard]] Error usage(std::string message, std::string hint);

class OptionGroup {
 public:
  using Accept = std::function<bool(const std::string& value)>;

  OptionGroup(CLI::App& app, std::string title) : app_(app), title_(std::move(title)) {}

  /// `accept` stores a value or refuses it; `expected` ends the sentence "--name 'value': must be ...".
  void value(const std::string& names, const char* type, const char* help, const char* expected, Accept accept);
  /// The same for an option that may be given several times.
  void values(const std::string& names, const char* type, const char* help, const char* expected, Accept accept);
  void flag(const std::string& names, const char* help, bool& set);

 private:
  void add(const std::string& names, const char* type, const char* help, std::function<void(const Words&)> take);

  CLI::App& app_;
  std::string title_;
};

/// Stores a parsed value that lies within bounds.
template <class Value, class Target>
bool store(const Result<Value>& parsed, Value least, Value most, Target& target) {
  if (!parsed || *parsed < least || *parsed > most) return false;
  target = static_cast<Target>(*parsed);
  return true;
}

template <class Value, class Target>
bool store(const Result<Value>& parsed, Value least, Value most, std::optional<Target>& target) {
  Target value{};
  if (!store(parsed, least, most, value)) return false;
  target = value;
  return true;
}

}  // namespace alloctrail
