// SPDX-License-Identifier: Apache-2.0
// The report's section on mapped memory: by kind, by stack, and how it agrees with /proc/PID/maps.
#pragma once

#include <string>

#include "user/analysis/mapped_table.h"
#include "user/output/report_text.h"

namespace alloctrail {

[[nodiscard]] std::string mapped_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style);

}  // namespace alloctrail
