// SPDX-License-Identifier: Apache-2.0
// `alloctrail oom` as the user asked for it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "user/oom/recorder.h"
#include "user/options/report_options.h"
#include "user/options/tracing_options.h"
#include "user/output/terminal.h"

namespace alloctrail {

struct OomOptions {
  TracingOptions tracing;       ///< processes whose allocations are accounted, too; none with --all alone
  bool all = false;             ///< watch every process of the host

  std::optional<std::string> from;       ///< raw records that a killed alloctrail left behind: report them, watch nothing

  RecorderOptions recording{.hold = OomHold::Auto};

  std::optional<std::string> directory;  ///< none: standard output
  size_t keep = 100;                     ///< newest reports that stay in it
  bool once = false;
  std::optional<std::string> exec;       ///< program to run with a report's path

  OutputFormat format = OutputFormat::Text;
  bool full_stacks = false;
  ColorWhen color = ColorWhen::Auto;
};

}  // namespace alloctrail
