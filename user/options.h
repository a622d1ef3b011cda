// SPDX-License-Identifier: Apache-2.0
// The command line as values: every rule about arguments is checked here, before anything is opened or attached.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "user/ids.h"
#include "user/kernel/probe_link.h"
#include "user/output/terminal.h"
#include "user/result.h"

namespace alloctrail {

/// Which processes to trace. Numbers, names and cgroups add up; a command stands alone. Never empty.
struct TargetOptions {
  std::vector<Tgid> pids;  ///< each once
  std::vector<std::string> comms;
  std::vector<std::string> cgroups;
  std::vector<std::string> command;
};

enum class OutputFormat { Text, Json, JsonLines };

struct ReportOptions {
  TargetOptions targets;

  std::chrono::nanoseconds interval = std::chrono::seconds(2);
  std::optional<uint64_t> count;  ///< reports; none: until the target ends or a signal comes
  std::optional<std::chrono::nanoseconds> duration;

  std::optional<size_t> top;  ///< rows of each table; none: kTextRows as text, all as JSON
  static constexpr size_t kTextRows = 10;
  uint64_t min_size_bytes = 0;
  std::optional<std::chrono::nanoseconds> older;
  std::optional<Tid> tid;
  bool full_stacks = false;
  bool exact_bytes = false;

  OutputFormat format = OutputFormat::Text;
  std::optional<std::string> output;  ///< none or "-": standard output
  ColorWhen color = ColorWhen::Auto;

  std::optional<ProbeKind> probe_kind;  ///< none: the best this kernel has
  uint32_t max_live_blocks = 1u << 20;
  uint32_t max_stacks = 1u << 16;
  uint32_t max_sites = 1u << 18;

  [[nodiscard]] std::optional<size_t> rows() const {
    return top || format != OutputFormat::Text ? top : std::optional<size_t>(kTextRows);
  }
};

struct DoctorOptions {
  std::optional<Tgid> pid;
  bool json = false;
};

/// Help or version: text for standard output, exit code 0.
struct PrintAndExit {
  std::string text;
};

/// What the user asked for.
using Command = std::variant<ReportOptions, DoctorOptions, PrintAndExit>;

/// `args` without the program's name. Every error is ErrorKind::Usage.
[[nodiscard]] Result<Command> parse_options(std::vector<std::string> args);

}  // namespace alloctrail
