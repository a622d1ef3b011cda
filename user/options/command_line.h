// SPDX-License-Identifier: Apache-2.0
// The command line as values: every rule about arguments is checked here, before anything is opened or attached.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "user/options/doctor_options.h"
#include "user/options/oom_options.h"
#include "user/options/explain_options.h"
#include "user/options/ps_options.h"
#include "user/options/report_options.h"
#include "user/options/top_options.h"
#include "user/result.h"

namespace alloctrail {

/// Help or version: text for standard output, exit code 0.
struct PrintAndExit {
  std::string text;
};

/// What the user asked for.
using Command = std::variant<ReportOptions, TopOptions, PsOptions, OomOptions, ExplainOptions, DoctorOptions, PrintAndExit>;

/// `args` without the program's name. Every error is ErrorKind::Usage.
[[nodiscard]] Result<Command> parse_options(std::vector<std::string> args);

}  // namespace alloctrail
