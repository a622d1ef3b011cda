// SPDX-License-Identifier: Apache-2.0
// The sections of a text report that tell who touches memory: totals, threads, stacks, accounting.
#pragma once

#include <string>

#include "user/output/report_text.h"

namespace alloctrail {

/// `view.faults` must be there.
[[nodiscard]] std::string fault_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style);

}  // namespace alloctrail
