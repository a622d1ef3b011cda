// SPDX-License-Identifier: Apache-2.0
// Which programs make up the flight recorder and where they attach. Private to kernel/.
#pragma once

#include <vector>

#include "alloctrail/config.h"
#include "alloctrail/oom.h"
#include "user/kernel/tracer.h"

#include "alloctrail.skel.h"

namespace alloctrail {

struct OomProgram {
  bpf_program* program;
  const char* tracepoint;
  bool optional = false;  ///< the recorder works without it
};

/// In the order in which they are to be attached. Which of the two for mark_victim is loaded is asked of the kernel's types.
[[nodiscard]] std::vector<OomProgram> oom_programs(const alloctrail_bpf& skeleton);

/// Makes those be loaded that fit this kernel and are asked for.
void choose_oom_programs(alloctrail_bpf& skeleton, ReclaimNotices reclaim);

}  // namespace alloctrail
