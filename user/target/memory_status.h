// SPDX-License-Identifier: Apache-2.0
// The memory figures of /proc/PID/status and of /proc/meminfo.
#pragma once

#include <string_view>

#include "user/ids.h"
#include "user/model/memory.h"
#include "user/result.h"

namespace alloctrail {

/// From the text of a status file. Lines that an older kernel does not write, or a process without memory does not
/// have, stay 0.
[[nodiscard]] MemoryStatus parse_memory_status(std::string_view status);

/// Of a process, through a thread of it that is alive. Fails if it is gone or may not be looked at.
[[nodiscard]] Result<MemoryStatus> read_memory_status(Tgid pid);

[[nodiscard]] HostMemory parse_meminfo(std::string_view meminfo);
[[nodiscard]] Result<HostMemory> read_host_memory();

}  // namespace alloctrail
