// SPDX-License-Identifier: Apache-2.0
// Scene + ViewState -> the whole screen. Pure.
#pragma once

#include <cstddef>

#include "user/tui/cells.h"
#include "user/tui/view_state.h"

namespace alloctrail {

struct ScreenSize {
  size_t width = 80;
  size_t height = 24;  ///< 0: as high as it takes to show everything
};

struct Drawn {
  CellGrid grid;
  size_t body_row = 0;     ///< screen line of the first line of the list or text
  size_t body_height = 0;  ///< lines of it on the screen
  size_t body_lines = 0;   ///< lines there are
  size_t first = 0;        ///< the first one shown: to be kept as Place::first
};

[[nodiscard]] Drawn draw(const Scene& scene, const ViewState& state, ScreenSize size);

}  // namespace alloctrail
