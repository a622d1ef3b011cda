// SPDX-License-Identifier: Apache-2.0
// The pages that are text and not a list: one stack, the process, its probes, an OOM report, help.
#pragma once

#include <vector>

#include "user/tui/cells.h"
#include "user/tui/view_state.h"

namespace alloctrail {

/// All lines of the present page; the screen shows as many as fit. Empty for lists.
[[nodiscard]] std::vector<CellLine> page_lines(const Scene& scene, const ViewState& state, size_t width);

}  // namespace alloctrail
