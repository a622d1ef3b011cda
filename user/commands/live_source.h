// SPDX-License-Identifier: Apache-2.0
// A running trace as the live view reads it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "user/commands/death_watch.h"
#include "user/options/tracing_options.h"
#include "user/trace/trace.h"
#include "user/tui/snapshot_source.h"

namespace alloctrail {

class LiveSource : public SnapshotSource {
 public:
  explicit LiveSource(const TracingOptions& options) : options_(options) {}

  /// Attaches.
  [[nodiscard]] Status open() override;
  [[nodiscard]] Result<Update> next(std::chrono::steady_clock::time_point due, int wake_fd) override;

 private:
  TracingOptions options_;
  std::unique_ptr<Trace> trace_;
  std::optional<DeathWatch> deaths_;
  std::vector<std::string> messages_;
};

}  // namespace alloctrail
