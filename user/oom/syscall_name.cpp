// SPDX-License-Identifier: Apache-2.0
#include "user/oom/syscall_name.h"

#include <fmt/format.h>

namespace alloctrail {

std::string syscall_name(int64_t number) {
  switch (number) {
#define ALLOCTRAIL_SYSCALL(name, value) \
  case value: return #name;
#include "syscall_list.inc"  // made by CMake
#undef ALLOCTRAIL_SYSCALL
    default: return fmt::format("system call {}", number);
  }
}

}  // namespace alloctrail
