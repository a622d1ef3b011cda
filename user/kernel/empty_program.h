// SPDX-License-Identifier: Apache-2.0
// The smallest BPF program there is: to try what this kernel attaches, and to measure what its probes alone cost.
#pragma once

#include <cstdint>

#include "user/handles.h"
#include "user/kernel/probe_link.h"
#include "user/result.h"

namespace alloctrail {

/// Loads a program that does nothing but return `result`, to be attached this way; 1 keeps a session from probing the
/// return.
[[nodiscard]] Result<UniqueFd> load_empty_program(ProbeKind kind, int32_t result);

}  // namespace alloctrail
