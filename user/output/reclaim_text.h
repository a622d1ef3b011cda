// SPDX-License-Identifier: Apache-2.0
// The short report of a process at its limit, before the kernel kills: how near it is, and what it was allocating.
#pragma once

#include <string>

#include "user/analysis/limit_history.h"
#include "user/analysis/report_table.h"
#include "user/model/oom_report.h"
#include "user/output/text_line.h"

namespace alloctrail {

[[nodiscard]] std::string reclaim_text(const ReclaimNotice& notice, const LimitView& limit, FrameChoice frames,
                                       const TextStyle& style);

}  // namespace alloctrail
