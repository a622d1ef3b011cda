// SPDX-License-Identifier: Apache-2.0
// `alloctrail report` and `alloctrail record`: attaches, prints or keeps a report every interval and a final one,
// detaches. Of a recording it prints the reports: replay.h.
#pragma once

#include "user/options/report_options.h"
#include "user/result.h"

namespace alloctrail {

[[nodiscard]] Result<ExitCode> run_report(const ReportOptions& options);

}  // namespace alloctrail
