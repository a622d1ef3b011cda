// SPDX-License-Identifier: Apache-2.0
// The real `alloctrail report` attached to running processes: reports on demand at quiet points, and how it ended.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/child.h"

namespace alloctrail::test {

class Tracer {
 public:
  /// What is known once the tracer has ended.
  struct End {
    int exit_code = -1;
    std::vector<nlohmann::json> reports;  ///< those not read before; the last ones are final
    std::string error_text;
  };

  /// Starts `alloctrail report -p PIDS --json-lines EXTRA...` and returns once all probes are in. Without an --interval
  /// in `extra` it reports only when asked.
  Tracer(const std::vector<pid_t>& pids, const Deadline& deadline, const std::vector<std::string>& extra = {});

  [[nodiscard]] pid_t pid() const { return child_.pid(); }
  /// The report of the one target as of now.
  nlohmann::json snapshot();
  /// The reports of `count` targets as of now, in the order they are printed.
  std::vector<nlohmann::json> snapshots(size_t count);
  /// The next report it prints without being asked.
  nlohmann::json next_report();
  /// Asks until the one target's present image has probes: after an exec they come with its libraries.
  void wait_hooked();
  /// Interrupts it, as Ctrl-C does, and waits for its end.
  End finish();
  /// Waits until it ends by itself.
  End wait_end();
  Child& child() { return child_; }

  /// Path of the program under test.
  static std::string binary();

 private:
  Child child_;
};

}  // namespace alloctrail::test
