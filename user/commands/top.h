// SPDX-License-Identifier: Apache-2.0
// `alloctrail top` and `alloctrail show`: who holds the memory of processes, now or in a recording, on the whole screen.
#pragma once

#include "user/options/top_options.h"
#include "user/result.h"

namespace alloctrail {

[[nodiscard]] Result<ExitCode> run_top(const TopOptions& options);

}  // namespace alloctrail
