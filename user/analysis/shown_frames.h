// SPDX-License-Identifier: Apache-2.0
// Which frames of a stack say something about the program.
#pragma once

#include <cstdint>
#include <vector>

#include "user/model/snapshot.h"

namespace alloctrail {

/// Which frames of a stack a report shows.
enum class FrameChoice {
  Callers,  ///< without the allocator's own frames at the inner end
  All,
};

/// Indices into `stack.frames`, innermost first. With FrameChoice::Callers the allocator's own frames at the inner end are
/// left out, and of frames of the C++ standard library in a row only the outermost named one stays: the call that the
/// program made. Never empty for a stack that has frames.
[[nodiscard]] std::vector<uint32_t> shown_frames(const Stack& stack, FrameChoice choice);

}  // namespace alloctrail
