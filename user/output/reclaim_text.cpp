// SPDX-License-Identifier: Apache-2.0
#include "user/output/reclaim_text.h"

#include <fmt/format.h>

#include "user/output/limit_text.h"
#include "user/output/report_text_parts.h"
#include "user/output/units.h"

namespace alloctrail {

std::string reclaim_text(const ReclaimNotice& notice, const LimitView& limit, FrameChoice frames,
                         const TextStyle& style) {
  return TextLine(style)
             .add(fmt::format("AT THE LIMIT: process {}", raw(notice.pid)), Look::Warning)
             .add("   " + format_rfc3339(notice.time))
             .str() +
         wrapped(limit_line(limit.nearest, limit.left), 0, Look::Plain, style) +
         wrapped(fmt::format("the kernel takes memory back to let {} (tid {}) go on, {}", notice.thread, raw(notice.tid),
                             notice.state),
                 0, Look::Plain, style) +
         frames_text(notice.stack, frames, style);
}

}  // namespace alloctrail
