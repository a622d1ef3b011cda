// SPDX-License-Identifier: Apache-2.0
// Memory figures and forecasts as JSON, the same in every document that has them.
#pragma once

#include <nlohmann/json.hpp>

#include "user/analysis/forecast.h"
#include "user/analysis/trend.h"
#include "user/model/memory.h"

namespace alloctrail {

[[nodiscard]] nlohmann::ordered_json host_memory_json(const HostMemory& host);

/// {value, lower, upper}; what is not bounded, or not finite, is null.
[[nodiscard]] nlohmann::ordered_json estimate_json(const Estimate& estimate);

/// {cgroup, limit_bytes, use_bytes, room_bytes, swap_room_bytes}; the host's cgroup is null.
[[nodiscard]] nlohmann::ordered_json limit_json(const Headroom& limit);

/// {outcome, seconds}
[[nodiscard]] nlohmann::ordered_json forecast_json(const Forecast& forecast);

}  // namespace alloctrail
