// SPDX-License-Identifier: Apache-2.0
// Sections of the text reports that are files of their own, and the wording all sections share. Only files of
// output/ and tui/ include this.
#pragma once

#include <cstdint>
#include <string>

#include "user/output/report_text.h"

namespace alloctrail {

/// "12.41 MiB" or, with exact figures, "13,012,992".
[[nodiscard]] std::string bytes_text(uint64_t bytes, const ReportStyle& style);
/// The same with its sign; "0" for no change.
[[nodiscard]] std::string change_text(int64_t bytes, const ReportStyle& style);
[[nodiscard]] std::string signed_count_text(int64_t count);
[[nodiscard]] std::string rate_text(double bytes_per_s, const ReportStyle& style);

/// A 95 % interval beside its estimate: "-7% +8%", or "<1.9 MiB" where the estimate is nothing; "exact".
[[nodiscard]] std::string bytes_interval_text(const Interval& interval, uint64_t bytes, const ReportStyle& style);
[[nodiscard]] std::string blocks_interval_text(const Interval& interval, uint64_t blocks);

/// What the tables are ranked by: "outstanding bytes", "bytes older than 1 min".
[[nodiscard]] std::string ranked_words(const Snapshot& snapshot, const ReportView& view);

/// How the walk of a stack ended, as a part of a sentence.
[[nodiscard]] const char* status_sentence(at_stack_status status);
/// Whether that needs no mention with every stack.
[[nodiscard]] bool is_expected(at_stack_status status);

/// The frames of one stack, a line each, and how it ended if not at the thread's first function.
[[nodiscard]] std::string frames_text(const Stack& stack, FrameChoice choice, const TextStyle& style);

/// The stacks with their frames.
[[nodiscard]] std::string stack_table_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style);

/// The call tree, and what of it is not shown.
[[nodiscard]] std::string call_tree_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style);

/// Where every call seen went: one sentence, and a line for each thing lost.
[[nodiscard]] std::string accounting_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style);

}  // namespace alloctrail
