// SPDX-License-Identifier: Apache-2.0
// Which frame of a stack a site is called by: the code of the user's own that asked for the memory.
#pragma once

#include <cstdint>
#include <optional>

#include "user/model/snapshot.h"

namespace alloctrail {

/// Index into `stack.frames` of the innermost frame that is neither the allocator's, nor the C++ library's, nor the
/// system's (frame_origin.h). A well-known allocation wrapper (zmalloc, g_malloc, PyMem_Malloc ...), which every site of
/// its program would be called by, gives way to its caller if that is the user's, too. Where no frame is the user's: the
/// innermost that is not the allocator's. None: the stack has no frames.
[[nodiscard]] std::optional<uint32_t> naming_frame(const Stack& stack);

}  // namespace alloctrail
