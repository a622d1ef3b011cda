// SPDX-License-Identifier: Apache-2.0
// The items of a list page in the order they are shown, and what they are called. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "user/tui/view_state.h"

namespace alloctrail {

/// An item. Valid as long as the scene.
struct Row {
  uint32_t number = 0;  ///< index into the picture's threads or stacks, or into Scene::processes
  const Activity* activity = nullptr;
  Usage marked;  ///< what it held at the mark
  [[nodiscard]] int64_t since_mark() const {
    return static_cast<int64_t>(activity->usage.outstanding().bytes - marked.outstanding().bytes);
  }
};

/// Those that the filter shows, sorted; equal ones keep their order.
[[nodiscard]] std::vector<Row> rows(const Scene& scene, const ViewState& state);

/// Where the selected item is among the rows: where it was if it is gone, 0 without one.
[[nodiscard]] size_t selected_position(const std::vector<Row>& rows, const Place& place);

/// "worker-2 (4244)"; raw bytes.
[[nodiscard]] std::string thread_name(const Picture& picture, uint32_t number);
/// "AuditTrail::add_record demo.cpp:132": the innermost code of the user's own; callers up to `most` behind it.
[[nodiscard]] std::string stack_name(const Picture& picture, uint32_t number, size_t most);

}  // namespace alloctrail
