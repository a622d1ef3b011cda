// SPDX-License-Identifier: Apache-2.0
// What happened at an OOM kill, as people read it: who and why, the victim's figures, where its threads were, what it held.
#pragma once

#include <string>

#include "user/analysis/shown_frames.h"
#include "user/model/oom_report.h"
#include "user/output/text_line.h"

namespace alloctrail {

/// The whole report. Ends with a newline, starts without an empty line.
[[nodiscard]] std::string oom_text(const OomReport& report, FrameChoice frames, const TextStyle& style);

}  // namespace alloctrail
