// SPDX-License-Identifier: Apache-2.0
// A recording as the live view reads it: all of its moments, one after the other, as fast as they can be read.
#pragma once

#include <string>
#include <utility>

#include "user/recording/recording_reader.h"
#include "user/tui/snapshot_source.h"

namespace alloctrail {

class RecordedSource : public SnapshotSource {
 public:
  explicit RecordedSource(RecordingReader recording) : recording_(std::move(recording)) {}

  [[nodiscard]] Status open() override { return ok(); }
  [[nodiscard]] Result<Update> next(std::chrono::steady_clock::time_point due, int wake_fd) override;

 private:
  RecordingReader recording_;
  bool over_ = false;
};

}  // namespace alloctrail
