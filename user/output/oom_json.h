// SPDX-License-Identifier: Apache-2.0
// What happened at an OOM kill, as machines read it: schema "alloctrail/oom/1". Fields may be added to it, never renamed or
// removed; README.md describes each.
#pragma once

#include <string>

#include "user/analysis/limit_history.h"
#include "user/model/oom_report.h"

namespace alloctrail {

/// One object on one line, without a newline. Valid UTF-8 whatever the names hold.
[[nodiscard]] std::string oom_json(const OomReport& report);
/// One of a process at its limit.
[[nodiscard]] std::string reclaim_json(const ReclaimNotice& notice, const LimitView& limit);

}  // namespace alloctrail
