// SPDX-License-Identifier: Apache-2.0
// `alloctrail top`: who holds the memory of running processes, now, on the whole screen.
#pragma once

#include "user/options/top_options.h"
#include "user/result.h"

namespace alloctrail {

[[nodiscard]] Result<ExitCode> run_top(const TopOptions& options);

}  // namespace alloctrail
