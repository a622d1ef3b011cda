// SPDX-License-Identifier: Apache-2.0
// Oracles for the stacks of programs that know nothing of tests: libgcc's unwinder, preloaded, and gdb.
#pragma once

#include <string>
#include <vector>

#include "tests/support/child.h"
#include "tests/support/stack_truth.h"
#include "tests/support/temp_dir.h"
#include "user/handles.h"

struct stack_oracle;

namespace alloctrail::test {

/// The preloaded library's file, which the processes it is loaded into share with the test.
class StackOracle {
 public:
  explicit StackOracle(const TempDir& folder);
  ~StackOracle();
  StackOracle(const StackOracle&) = delete;

  /// What a program needs in its environment.
  [[nodiscard]] std::vector<std::string> environment() const;
  /// From now on every Nth malloc of these programs is looked at.
  void look_at_every(uint64_t nth);
  void look_no_more() { look_at_every(0); }

  /// What was found in one process. Fails the test if stacks were lost.
  [[nodiscard]] StackTruth truth_of(pid_t process) const;

 private:
  std::string path_;
  stack_oracle* shared_ = nullptr;
};

/// gdb looking at some of the stacks the oracle looks at. While it stops at one, the process waits.
class Debugger {
 public:
  /// Returns once it is attached; its first stack is the next one the oracle looks at.
  Debugger(pid_t pid, int stacks, const Deadline& deadline);
  /// Waits for it to have seen all of them and returns them, from the caller of malloc on.
  std::vector<CallStack> wait(const CodeRange& allocating);

 private:
  Child child_;
};

/// The whole stacks of a report that allocated from the range.
std::map<CallStack, uint64_t> whole_stacks(const nlohmann::json& report, const CodeRange& allocating);

}  // namespace alloctrail::test
