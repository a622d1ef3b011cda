// SPDX-License-Identifier: Apache-2.0
// Writes reports of OOM kills: to standard output, or a file each, and runs the user's program for it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  /// Completes the output and waits for the programs that were started.
  [[nodiscard]] Status finish();

 private:
  explicit OomReporter(const OomOptions& options);
  [[nodiscard]] std::string render(const OomReport& report);
  [[nodiscard]] Status write_file(const OomReport& report);
  [[nodiscard]] Status start_program(const std::string& path);

  OutputFormat format_;
  FrameChoice frames_;
  TextStyle style_;
  std::optional<ReportDirectory> directory_;
  std::unique_ptr<Sink> sink_;  ///< without a directory
  std::optional<std::string> exec_;
  JsonDocument document_;
  bool first_ = true;
  std::vector<pid_t> programs_;
};

}  // namespace alloctrail
