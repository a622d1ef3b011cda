// SPDX-License-Identifier: Apache-2.0
// `alloctrail top`, and `alloctrail show`, which is the same of a recording, as the user asked for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "user/options/tracing_options.h"
#include "user/output/terminal.h"

namespace alloctrail {

enum class TopView { Processes, Threads, Stacks, Process, Probes };

struct TopOptions {
  TracingOptions tracing;                ///< not of a recording
  std::optional<std::string> recording;  ///< none: processes that run
  std::chrono::nanoseconds interval = std::chrono::seconds(1);
  TopView view = TopView::Threads;
  bool batch = false;
  std::optional<uint64_t> count;  ///< of batch
  uint64_t top = 20;              ///< rows of batch
  bool svg = false;               ///< one screen as a picture
  ColorWhen color = ColorWhen::Auto;
};

}  // namespace alloctrail
