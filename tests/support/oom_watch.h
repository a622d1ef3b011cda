// SPDX-License-Identifier: Apache-2.0
// The real `alloctrail oom`: its reports as they come, and how it ended.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/child.h"

namespace alloctrail::test {

class OomWatch {
 public:
  /// Starts `alloctrail oom --json-lines ARGUMENTS...` and returns once it watches. `wrapper`: a program and arguments that
  /// it is started through.
  OomWatch(std::vector<std::string> arguments, const Deadline& deadline, std::vector<std::string> wrapper = {});

  [[nodiscard]] pid_t pid() const { return child_.pid(); }
  nlohmann::json next_report();
  /// Interrupts it and waits for its end; the reports not read before.
  std::vector<nlohmann::json> finish();
  Child& child() { return child_; }

 private:
  Child child_;
};

/// The thread rows whose name begins with `name`.
std::vector<nlohmann::json> threads_named(const nlohmann::json& report, const std::string& name);
/// Does a stack of the report, by its index, hold a frame of this function?
bool stack_has(const nlohmann::json& report, const nlohmann::json& stack, const std::string& function);

}  // namespace alloctrail::test
