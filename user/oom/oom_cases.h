// SPDX-License-Identifier: Apache-2.0
// From captures to reports: joins what the flight recorder saw with what the trace knows of the same process, if it traced it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "user/model/oom_report.h"
#include "user/oom/recorder.h"
#include "user/symbols/symbolizer.h"
#include "user/trace/trace.h"

namespace alloctrail {

class OomCases {
 public:
  /// `trace` may be null, and outlives this.
  OomCases(std::unique_ptr<OomRecorder> recorder, Trace* trace);

  /// Readable when take() may have something to return.
  [[nodiscard]] int event_fd() const { return recorder_->event_fd(); }
  /// The last Snapshot of a process that the trace has seen exit.
  void remember(const Snapshot& ended);
  /// Snapshots of living processes, in order of time: reports tell what has grown since the first of the last few.
  void keep(Snapshot snapshot);
  /// The one that a report of this process made now would refer to; null: none.
  [[nodiscard]] const Snapshot* earlier(Tgid pid) const;
  /// The reports that are ready.
  [[nodiscard]] std::vector<OomReport> take();
  /// Where the kernel has begun to take memory back for a traced process.
  [[nodiscard]] std::vector<ReclaimNotice> take_reclaims();
  /// Is a capture waiting for its process's last Snapshot? Then take() is to be called again soon.
  [[nodiscard]] bool waiting() const { return !waiting_.empty(); }
  /// True: every kill that the kernel has told of so far has been taken.
  [[nodiscard]] bool settled() { return waiting_.empty() && recorder_->settled(); }
  /// The reports taken so far are on disk: their raw records may go.
  void reports_are_safe() { recorder_->forget_raw_records(); }
  /// Kills of which nothing could be recorded.
  [[nodiscard]] uint64_t missed() const { return recorder_->missed(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {
    OomCapture capture;
    Clock::time_point since;
  };
  [[nodiscard]] std::optional<Snapshot> last_snapshot(const OomCapture& capture);
  [[nodiscard]] OomReport build(const OomCapture& capture, std::optional<Snapshot> accounting);

  std::unique_ptr<OomRecorder> recorder_;
  Trace* trace_;
  std::optional<Symbolizer> own_symbolizer_;
  std::deque<Snapshot> ended_;
  std::vector<Waiting> waiting_;
  std::map<Tgid, std::deque<Snapshot>> kept_;  ///< oldest first
};

}  // namespace alloctrail
