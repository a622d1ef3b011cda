// SPDX-License-Identifier: Apache-2.0
// Writes reports of OOM kills: to standard output, or a file each, and runs the user's program for it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "user/analysis/report_table.h"
#include "user/model/oom_report.h"
#include "user/options/oom_options.h"
#include "user/output/output_file.h"
#include "user/output/report_directory.h"
#include "user/output/report_json.h"
#include "user/output/text_line.h"
#include "user/result.h"

namespace alloctrail {

class OomReporter {
 public:
  static Result<OomReporter> open(const OomOptions& options);

  [[nodiscard]] Status write(const OomReport& report);
  /// A full report before the kill; `earlier` (may be null) is what its changes refer to.
  [[nodiscard]] Status warn(const Snapshot& snapshot, const Snapshot* earlier, const LimitView& limit);
  /// The short report of a process at its limit.
  [[nodiscard]] Status write(const ReclaimNotice& notice, const LimitView& limit);
  /// Completes the output. Programs that were started are waited for, but not for long.
  [[nodiscard]] Status finish();

 private:
  explicit OomReporter(const OomOptions& options);
  [[nodiscard]] bool text() const { return format_ == OutputFormat::Text; }
  /// What one report becomes: as text, or as a JSON object.
  struct Rendered {
    std::chrono::system_clock::time_point time;
    std::string name;  ///< part of the file's name
    std::string text;
  };
  [[nodiscard]] Status deliver(const std::optional<ReportDirectory>& directory, const Rendered& report);
  struct Program {
    pid_t pid = 0;
    std::string report;
  };
  void start_program(const std::string& path);
  /// Reaps those that have ended; tells of those that failed.
  void look_after_programs();

  OutputFormat format_;
  FrameChoice frames_;
  TextStyle style_;
  std::optional<ReportDirectory> directory_;
  std::optional<ReportDirectory> warnings_;  ///< the same folder, other names
  std::unique_ptr<Sink> sink_;  ///< without a directory
  std::optional<std::string> exec_;
  JsonDocument document_;
  bool first_ = true;
  std::vector<Program> programs_;
};

}  // namespace alloctrail
