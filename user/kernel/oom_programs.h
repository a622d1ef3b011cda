// SPDX-License-Identifier: Apache-2.0
// Which programs make up the flight recorder and where they attach. Private to kernel/.
#pragma once

#include <vector>

#include "alloctrail/config.h"
#include "alloctrail/oom.h"

#include "alloctrail.skel.h"

namespace alloctrail {

struct OomProgram {
  bpf_program* program;
  const char* tracepoint;
};

/// In the order in which they are to be attached. Which of the two for mark_victim is loaded is asked of the kernel's types.
[[nodiscard]] std::vector<OomProgram> oom_programs(const alloctrail_bpf& skeleton);

/// Makes those be loaded that fit this kernel.
void choose_oom_programs(alloctrail_bpf& skeleton);

}  // namespace alloctrail
