// SPDX-License-Identifier: Apache-2.0
// Where the live view gets its Snapshots from: a running trace or a recording.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "user/model/oom_report.h"
#include "user/model/snapshot.h"
#include "user/result.h"

namespace alloctrail {

/// What is new.
struct Update {
  std::vector<Snapshot> snapshots;  ///< of one process each; Snapshot::end tells of the last one of an image
  std::vector<OomReport> deaths;
  std::vector<std::string> messages;
  bool over = false;  ///< nothing more will come
};

/// Used by one thread at a time, which need not be the one that made it.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  /// To be called once, first. Can take seconds.
  [[nodiscard]] virtual Status open() = 0;
  /// Waits for what happens by itself (a process ends), at the latest until `due`: then with a snapshot of every process.
  /// Returns early with nothing once `wake_fd` is readable.
  [[nodiscard]] virtual Result<Update> next(std::chrono::steady_clock::time_point due, int wake_fd) = 0;
};

/// Writes a snapshot to a file; the result is what to tell the user.
using WriteSnapshot = std::function<Result<std::string>(const Snapshot&)>;

}  // namespace alloctrail
