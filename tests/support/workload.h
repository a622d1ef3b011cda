// SPDX-License-Identifier: Apache-2.0
// A program of tests/workloads: it says "ready PID", does one phase per line it is sent and answers each with its
// truth.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/child.h"

namespace alloctrail::test {

class Workload {
 public:
  /// Starts it and returns once it is ready. arguments[0] is the program's path.
  Workload(std::vector<std::string> arguments, const Deadline& deadline);
  Workload(ChildOptions options, const Deadline& deadline);

  /// Its pid as the test and the tracer see it, whatever its own pid namespace says.
  [[nodiscard]] pid_t pid() const { return child_.pid(); }
  /// Lets it do its next phase and returns its truth: figures since the start, at a quiet point.
  nlohmann::json go(std::string_view argument = "go");
  /// Lets it do a phase that ends in "ready" again (exec) or in no answer at all.
  void go_without_truth(std::string_view argument = "go");
  /// Waits for the next "ready PID" line.
  void wait_ready();
  /// Closes its input, which ends it, and returns its exit code.
  int finish();
  Child& child() { return child_; }

 private:
  Child child_;
};

}  // namespace alloctrail::test
