// SPDX-License-Identifier: Apache-2.0
// Names of system calls, as <asm/unistd.h> has them on the machine that built the program.
#pragma once

#include <cstdint>
#include <string>

namespace alloctrail {

/// "futex"; "system call 999" for one that is newer than this program.
[[nodiscard]] std::string syscall_name(int64_t number);

}  // namespace alloctrail
