// SPDX-License-Identifier: Apache-2.0
// What a tracer must not leave behind: breakpoints in a target's text, and BPF programs, maps and links in the kernel.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/deadline.h"

namespace alloctrail::test {

/// Differences between a process's executable file mappings and the files they map, one sentence each; empty: none.
std::vector<std::string> changed_text(pid_t pid);

/// One kernel object a process holds open.
struct BpfObjectId {
  std::string kind;  ///< "prog", "map" or "link"
  uint32_t id = 0;
};

/// All BPF programs, maps and links that `pid` holds open now.
std::vector<BpfObjectId> bpf_objects_of(pid_t pid);

/// Waits until none of `objects` exists any more: the kernel frees them a moment after their last holder is gone.
/// Throws TimedOut with the first that remains.
void wait_until_gone(const std::vector<BpfObjectId>& objects, const Deadline& deadline);

/// The one-letter state in /proc/PID/stat; 0 if there is no such process.
char process_state(pid_t pid);

/// Waits until the process, or its main thread if others live on, is a zombie.
void wait_until_zombie(pid_t pid, const Deadline& deadline);

}  // namespace alloctrail::test
