// SPDX-License-Identifier: Apache-2.0
// A report as people read it: warnings, process line, totals, threads, stacks, accounting. Words and columns only;
// every figure comes from the ReportView.
#pragma once

#include <string>

#include "user/analysis/report_table.h"
#include "user/model/snapshot.h"
#include "user/output/text_line.h"

namespace alloctrail {

/// How bytes are spelt.
enum class ByteFigures { Scaled, Exact };

struct ReportStyle {
  TextStyle text;
  ByteFigures bytes = ByteFigures::Scaled;
};

/// The whole report; `view` must have been made from `snapshot`. Ends with a newline, starts without an empty line.
[[nodiscard]] std::string report_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style);

}  // namespace alloctrail
