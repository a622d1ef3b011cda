// SPDX-License-Identifier: Apache-2.0
// The lines above the pages: who is watched, what it holds, how fast, until when, and what was lost.
#pragma once

#include <vector>

#include "user/tui/cells.h"
#include "user/tui/view_state.h"

namespace alloctrail {

/// How much room the header may take.
enum class HeaderSize { Small, Full };

[[nodiscard]] std::vector<CellLine> header_lines(const Scene& scene, const ViewState& state, HeaderSize size,
                                                 size_t width);

/// The names of the pages with their keys, the present one marked.
[[nodiscard]] CellLine tabs_line(const Scene& scene, const ViewState& state, size_t width);

}  // namespace alloctrail
