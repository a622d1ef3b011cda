// SPDX-License-Identifier: Apache-2.0
// `alloctrail report` and `alloctrail record` as the user asked for them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "user/analysis/report_table.h"
#include "user/ids.h"
#include "user/options/tracing_options.h"
#include "user/output/terminal.h"

namespace alloctrail {

enum class OutputFormat { Text, Json, JsonLines, Recording };

struct ReportOptions {
  TracingOptions tracing;
  std::optional<std::string> recording;  ///< the file to report on, instead of running processes

  std::chrono::nanoseconds interval = std::chrono::seconds(2);
  std::optional<uint64_t> count;  ///< reports; none: until the target ends or a signal comes. Of a recording: the last ones
  std::optional<std::chrono::nanoseconds> duration;

  std::optional<size_t> top;  ///< rows of each table; none: kTextRows as text, all as JSON
  static constexpr size_t kTextRows = 10;
  std::optional<Tid> tid;
  bool full_stacks = false;
  StackLayout stacks = StackLayout::List;
  bool exact_bytes = false;
  bool no_mappings = false;

  OutputFormat format = OutputFormat::Text;
  std::optional<std::string> output;  ///< none or "-": standard output
  ColorWhen color = ColorWhen::Auto;

  [[nodiscard]] std::optional<size_t> rows() const {
    return top || format != OutputFormat::Text ? top : std::optional<size_t>(kTextRows);
  }
};

/// How help speaks of what a command makes over and over.
struct TimingWords {
  const char* verb;      ///< "report"
  const char* piece;     ///< "report"
  const char* interval;  ///< the default: "2s"
};

/// --interval, --count, --duration
void declare_timing(CLI::App& app, ReportOptions& options, const TimingWords& words);

}  // namespace alloctrail
