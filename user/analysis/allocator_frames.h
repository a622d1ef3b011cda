// SPDX-License-Identifier: Apache-2.0
// Tells the allocator's own functions from the program's, so that a stack starts at the code that asked for memory.
#pragma once

#include <cstddef>

#include "user/model/snapshot.h"

namespace alloctrail {

/// Whether a frame is the allocator's machinery: malloc and its family under any allocator's prefix, the global
/// operator new, std::allocator, or any function inside an allocator's own shared library.
[[nodiscard]] bool is_allocator_frame(const Frame& frame);

/// How many innermost frames of a stack are the allocator's. 0 if all of them are: a stack is never hidden whole.
[[nodiscard]] size_t allocator_frame_count(const Stack& stack);

}  // namespace alloctrail
