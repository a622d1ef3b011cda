// SPDX-License-Identifier: Apache-2.0
// What each memory figure means, in a sentence or two: for `alloctrail explain` and for views.
#pragma once

#include <span>
#include <string_view>

namespace alloctrail {

struct FieldEntry {
  std::string_view name;      ///< as /proc/PID/status or the balance spells it
  std::string_view sentence;  ///< what it counts
  std::string_view advice;    ///< what its growth says
};

[[nodiscard]] std::span<const FieldEntry> field_guide();

/// Upper and lower case do not matter; null: there is no such field.
[[nodiscard]] const FieldEntry* find_field(std::string_view name);

}  // namespace alloctrail
