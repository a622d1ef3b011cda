// SPDX-License-Identifier: Apache-2.0
// A function of our own to try probes on: the kernel is asked what it can do there, never on a target.
#pragma once

#include <cstdint>

#include "user/handles.h"
#include "user/result.h"

namespace alloctrail {

struct OwnFunction {
  UniqueFd file;  ///< our executable, open for reading
  uint64_t file_offset = 0;
};

[[nodiscard]] Result<OwnFunction> locate_own_function();

}  // namespace alloctrail
