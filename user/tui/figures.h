// SPDX-License-Identifier: Apache-2.0
// Figures of the live view in words: growth, changes, and a course as a row of small bars.
#pragma once

#include <cstdint>
#include <string>

#include "user/analysis/history.h"
#include "user/output/terminal_text.h"

namespace alloctrail {

/// "+1.5 MiB", "-20 B", "0".
[[nodiscard]] std::string signed_bytes(int64_t bytes);

/// Bytes per hour: "+6.61 GiB" or "-1 MiB" where that is sure with 95 % confidence, "steady" where neither is, "?" where
/// it is too early to say, "-" of an item that is not followed.
[[nodiscard]] std::string growth_text(const Activity& activity);

/// Whether it grows for sure.
[[nodiscard]] bool surely_grows(const Activity& activity);

/// A bar for each stretch of time, oldest first, from the lowest value to the highest; level where they differ by less
/// than 1 %. Empty for an item that is not followed.
[[nodiscard]] std::string course_text(const Activity& activity, size_t columns, Charset charset);

}  // namespace alloctrail
