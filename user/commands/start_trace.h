// SPDX-License-Identifier: Apache-2.0
// From the command line's choice of processes to a running trace; the same for every live command.
#pragma once

#include <memory>

#include "user/options/tracing_options.h"
#include "user/result.h"
#include "user/trace/trace.h"

namespace alloctrail {

/// What a command needs besides the heap.
struct TraceExtras {
  OomWatch oom = OomWatch::Targets;
  RangeTracking ranges = RangeTracking::Off;
};

[[nodiscard]] Result<std::unique_ptr<Trace>> start_trace(const TracingOptions& options, TraceExtras extras);

}  // namespace alloctrail
