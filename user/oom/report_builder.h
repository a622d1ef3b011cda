// SPDX-License-Identifier: Apache-2.0
// OomCapture -> OomReport: unwinds what was only copied, names addresses, spells figures.
#pragma once

#include "user/model/oom_report.h"
#include "user/oom/kill_records.h"
#include "user/symbols/symbolizer.h"

namespace alloctrail {

/// `space`: the victim's mappings, from the trace if it was traced, else as the capture has them; may be empty.
[[nodiscard]] OomReport build_oom_report(const OomCapture& capture, const AddressSpace& space, Symbolizer& symbolizer);

/// `space`: the mappings of the thread's process.
[[nodiscard]] ReclaimNotice build_reclaim_notice(const CapturedThread& thread, const AddressSpace& space,
                                                 Symbolizer& symbolizer);

}  // namespace alloctrail
