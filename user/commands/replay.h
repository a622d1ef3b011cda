// SPDX-License-Identifier: Apache-2.0
// `alloctrail report FILE`: the reports of a recording, as a live run would have printed them.
#pragma once

#include "user/options/report_options.h"
#include "user/result.h"

namespace alloctrail {

/// Prints the last ReportOptions::count moments; without a count the last Snapshot of each process and every death.
/// kExitDataLost if the file is damaged; what comes before the damage is printed.
[[nodiscard]] Result<ExitCode> replay(const ReportOptions& options);

}  // namespace alloctrail
