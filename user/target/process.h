// SPDX-License-Identifier: Apache-2.0
// One process as a target: its identity, which survives the reuse of its number, and whether it can be traced at all.
#pragma once

#include <cstdint>

#include "user/handles.h"
#include "user/ids.h"
#include "user/result.h"

namespace alloctrail {

/// A process number alone may name another program tomorrow; with its start time it does not.
struct ProcessIdentity {
  Tgid pid{};
  uint64_t start_ticks = 0;  ///< field 22 of /proc/PID/stat: clock ticks after boot
  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

/// A process that can be traced.
struct TargetProcess {
  ProcessIdentity identity;
  UniqueFd pidfd;     ///< readable once the whole process is gone
  Tid live_thread{};  ///< the main thread, or another one if the main thread has exited
};

/// Opens a process for tracing. Errors, each with what to do: no such process, the id of a thread, a kernel thread, a
/// process that is dead already, a 32-bit process, one we may not look at, alloctrail itself.
[[nodiscard]] Result<TargetProcess> open_target(Tgid pid);

/// Is the process still the one it was, and not gone?
[[nodiscard]] bool still_same(const ProcessIdentity& identity);

}  // namespace alloctrail
