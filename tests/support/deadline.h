// SPDX-License-Identifier: Apache-2.0
// The one time limit of a test: every wait in tests/support ends by its condition or by this deadline, never by a
// sleep.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>

namespace alloctrail::test {

/// Thrown when a wait outlives its test; the message says what was awaited and what the child had printed.
struct TimedOut : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds limit) : end_(std::chrono::steady_clock::now() + limit) {}

  /// Milliseconds left, for poll(2); 0 once the deadline has passed.
  [[nodiscard]] int left_ms() const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
    return left.count() > 0 ? static_cast<int>(left.count()) : 0;
  }

 private:
  std::chrono::steady_clock::time_point end_;
};

}  // namespace alloctrail::test
