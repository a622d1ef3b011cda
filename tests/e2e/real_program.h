// SPDX-License-Identifier: Apache-2.0
// What the tests with real programs share: talking to a server's socket, and comparing two figures of the same thing.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tests/support/deadline.h"
#include "tests/support/kernel_test.h"
#include "tests/support/server.h"
#include "tests/support/temp_dir.h"
#include "user/handles.h"

namespace alloctrail::test {

/// A connection to a server's UNIX socket.
class SocketClient {
 public:
  /// Connects as soon as the server listens.
  SocketClient(const std::string& path, const Deadline& deadline);
  void send(std::string_view bytes);
  /// Reads up to and including `end`.
  std::string read_until(std::string_view end);

 private:
  const Deadline& deadline_;
  UniqueFd socket_;
  std::string unread_;
};

/// Expects `ours` within `tolerance` (0.05: 5 %) of the program's own figure, and prints how close it is.
void expect_close(std::string_view what, uint64_t ours, uint64_t programs_own, double tolerance);

/// The bytes a process has outstanding more in `later` than in `earlier`.
uint64_t growth(const nlohmann::json& earlier, const nlohmann::json& later);

class RealProgram : public KernelTest {
 protected:
  TempDir folder;
};

}  // namespace alloctrail::test
