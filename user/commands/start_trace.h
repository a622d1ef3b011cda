// SPDX-License-Identifier: Apache-2.0
// From the command line's choice of processes to a running trace; the same for every live command.
#pragma once

#include <memory>
#include <vector>

#include "user/options/tracing_options.h"
#include "user/result.h"
#include "user/trace/trace.h"

namespace alloctrail {

/// What a command needs besides the heap.
struct TraceExtras {
  OomWatch oom = OomWatch::Targets;
  RangeTracking ranges = RangeTracking::Off;
};

/// The running processes that were named, each once. A name or cgroup that matches nothing is an error.
[[nodiscard]] Result<std::vector<Tgid>> select_targets(const TargetOptions& selection);

[[nodiscard]] Result<std::unique_ptr<Trace>> start_trace(const TracingOptions& options, TraceExtras extras);

}  // namespace alloctrail
