// SPDX-License-Identifier: Apache-2.0
// What the resident memory consists of, as lines of a report.
#pragma once

#include <string>

#include "user/analysis/balance.h"
#include "user/output/report_text.h"

namespace alloctrail {

/// Parts without a byte are left out; "~" marks what is estimated.
[[nodiscard]] std::string balance_text(const Snapshot& snapshot, const Balance& balance, const ReportStyle& style);

}  // namespace alloctrail
