// SPDX-License-Identifier: Apache-2.0
// `alloctrail ps`: every process of the host by growth, without a probe.
#pragma once

#include "user/options/ps_options.h"
#include "user/result.h"

namespace alloctrail {

/// Tables until the count is reached or a signal comes.
[[nodiscard]] Result<ExitCode> run_ps(const PsOptions& options);

}  // namespace alloctrail
