// SPDX-License-Identifier: Apache-2.0
// Base of every test that attaches to a process: needs root, and gives the test its deadline.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "tests/support/deadline.h"

namespace alloctrail::test {

/// Ends the test as skipped, or as failed where ALLOCTRAIL_REQUIRE_BPF=1 says that nothing may be skipped.
inline void skip_or_fail(const std::string& reason) {
  const char* required = std::getenv("ALLOCTRAIL_REQUIRE_BPF");
  if (required != nullptr && std::string(required) == "1") FAIL() << "must not be skipped: " << reason;
  GTEST_SKIP() << reason;
}

class KernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) skip_or_fail("attaching to processes needs root");
  }

  Deadline deadline{std::chrono::seconds(60)};
};

}  // namespace alloctrail::test
