// SPDX-License-Identifier: Apache-2.0
// `alloctrail report`: attaches, prints a report every interval and a final one, detaches.
#pragma once

#include "user/options/report_options.h"
#include "user/result.h"

namespace alloctrail {

[[nodiscard]] Result<ExitCode> run_report(const ReportOptions& options);

}  // namespace alloctrail
