// SPDX-License-Identifier: Apache-2.0
// Writes the reports of one run: Snapshot -> rows -> text or JSON -> sink, or Snapshot -> recording -> sink. Remembers the last Snapshot of each process,
// which changes and rates refer to.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "user/analysis/report_table.h"
#include "user/model/oom_report.h"
#include "user/model/snapshot.h"
#include "user/options/report_options.h"
#include "user/output/output_file.h"
#include "user/output/report_json.h"
#include "user/output/report_text.h"
#include "user/recording/recording_writer.h"
#include "user/result.h"

namespace alloctrail {

class Reporter {
 public:
  static Result<Reporter> open(const ReportOptions& options);

  /// Prints one report for each Snapshot.
  [[nodiscard]] Status print(std::vector<Snapshot> snapshots);
  /// Takes note of Snapshots that are not printed: the next ones are compared with them.
  void pass(std::vector<Snapshot> snapshots);
  /// Prints a report that is a warning: LimitView::warned_percent is set.
  [[nodiscard]] Status warn(Snapshot snapshot, const LimitView& limit);
  /// Prints that a process is at its limit.
  [[nodiscard]] Status print(const ReclaimNotice& notice, const LimitView& limit);
  /// Prints what happened at an OOM kill.
  [[nodiscard]] Status print(const OomReport& death);
  /// Completes the output.
  [[nodiscard]] Status finish();

 private:
  Reporter(const ReportOptions& options, std::unique_ptr<Sink> sink);
  void remember(Snapshot snapshot);
  [[nodiscard]] std::string render(const Snapshot& snapshot, const std::optional<LimitView>& warning = {});
  /// One text or JSON object, as the format demands.
  [[nodiscard]] std::string separated(const std::string& text);

  OutputFormat format_;
  ReportQuery query_;
  ReportStyle style_;
  std::unique_ptr<Sink> sink_;
  JsonDocument document_;
  RecordingWriter recording_;
  bool first_ = true;
  std::map<Tgid, Snapshot> previous_;
  std::map<Tgid, LimitHistory> limits_;
};

}  // namespace alloctrail
