// SPDX-License-Identifier: Apache-2.0
// `alloctrail oom`: waits for the OOM killer and reports what it took.
#pragma once

#include "user/options/oom_options.h"
#include "user/result.h"

namespace alloctrail {

[[nodiscard]] Result<ExitCode> run_oom(const OomOptions& options);

}  // namespace alloctrail
