// SPDX-License-Identifier: Apache-2.0
// A program that is measured: it works in rounds when told to, and says itself how long each took.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/bench.h"
#include "tests/support/child.h"

namespace alloctrail::bench {

class Subject {
 public:
  /// Starts it and returns once it is ready. What a wrapper prints before is passed over.
  Subject(std::vector<std::string> command, const test::Deadline& deadline);
  /// Ends it by the end of its input, so that a wrapper can clean up.
  ~Subject();

  [[nodiscard]] pid_t pid() const { return pid_; }
  nlohmann::json tell(std::string_view command);
  /// Lets it do `rounds` rounds of `pieces` pieces of work and adds the nanoseconds per piece.
  void measure(int rounds, int pieces, Series& into);

 private:
  test::Child child_;
  pid_t pid_ = -1;
};

}  // namespace alloctrail::bench
