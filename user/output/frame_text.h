// SPDX-License-Identifier: Apache-2.0
// Frames as people read them, a line each: function, source line or place in a file. Only files of output/ include this.
#pragma once

#include <string>
#include <vector>

#include "user/analysis/shown_frames.h"
#include "user/model/snapshot.h"
#include "user/output/text_line.h"

namespace alloctrail {

/// One line of a text about frames.
struct FrameLine {
  std::string lead;              ///< what stands before the function; text of ours
  const Frame* frame = nullptr;  ///< none: a line that says something else
  std::string note;              ///< what it says
};

/// Lines whose source places stand in one column. Where the screen is too narrow, a long path gives way from its front,
/// then the function from its end: the source line matters most.
[[nodiscard]] std::string frame_lines(const std::vector<FrameLine>& lines, FrameChoice choice, const TextStyle& style);

/// "Queue::push", or "libqueue.so+0x1f20" if the function is unknown: what a site named by this frame is called.
[[nodiscard]] std::string site_name_text(const Frame& frame);

}  // namespace alloctrail
