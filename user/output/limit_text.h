// SPDX-License-Identifier: Apache-2.0
// The nearest limit and the time until it, in words: of `ps`, of report headers, of warnings.
#pragma once

#include <string>

#include "user/analysis/forecast.h"

namespace alloctrail {

/// "/app.slice/redis" or "host".
[[nodiscard]] std::string limit_name(const Headroom& limit);

/// "9 min 20 s (8 min 2 s to 11 min)", "more than 40 h", "no exhaustion in sight", "too early to say", "none".
[[nodiscard]] std::string time_left_text(const Forecast& left);

/// The same in one column's width: "9 min 20 s", ">40 h", "-", "?", "0".
[[nodiscard]] std::string time_left_short(const Forecast& left);

/// "limit 64 MiB of /app   use 40 MiB   room 24 MiB   time left 9 min 20 s (8 min 2 s to 11 min)"
[[nodiscard]] std::string limit_line(const Headroom& limit, const Forecast& left);

/// "WARNING: 81.2% of the limit is in use and cannot be taken back: the step of 80%"
[[nodiscard]] std::string limit_warning(const Headroom& limit, uint32_t percent);

}  // namespace alloctrail
