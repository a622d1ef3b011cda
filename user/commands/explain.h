// SPDX-License-Identifier: Apache-2.0
// `alloctrail explain`: what a memory figure means.
#pragma once

#include "user/options/explain_options.h"
#include "user/result.h"

namespace alloctrail {

/// Prints the entries asked for. Error: a name that is none.
[[nodiscard]] Result<ExitCode> run_explain(const ExplainOptions& options);

}  // namespace alloctrail
