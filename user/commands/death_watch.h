// SPDX-License-Identifier: Apache-2.0
// The flight recorder as a live command has it beside its own work: what the OOM killer did to its targets.
#pragma once

#include <memory>
#include <vector>

#include "user/model/oom_report.h"
#include "user/oom/oom_cases.h"
#include "user/trace/trace.h"

namespace alloctrail {

class DeathWatch {
 public:
  /// A kernel that allows no recorder is no error: `warning` says so. `trace` outlives this.
  static DeathWatch start(Trace& trace, std::string& warning);

  /// Readable when take() may have something to return; -1 without a recorder.
  [[nodiscard]] int event_fd() const { return cases_ ? cases_->event_fd() : -1; }
  /// Hands over the last Snapshots of processes that have ended.
  void remember(const std::vector<Snapshot>& ended);
  /// The reports that are ready. What a victim held is in its last Snapshot, which the command has printed.
  [[nodiscard]] std::vector<OomReport> take();
  /// Where the kernel has begun to take memory back for a target: only with TracingOptions::warn_at_percent.
  [[nodiscard]] std::vector<ReclaimNotice> take_reclaims();
  /// The same once nothing is under way any more: some milliseconds after a kill, at most seconds.
  [[nodiscard]] std::vector<OomReport> take_all();

 private:
  std::unique_ptr<OomCases> cases_;
};

}  // namespace alloctrail
