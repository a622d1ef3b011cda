// SPDX-License-Identifier: Apache-2.0
#include "user/output/memory_json.h"

#include <cmath>

namespace alloctrail {
namespace {

using Json = nlohmann::ordered_json;

Json finite(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

const char* outcome_name(Forecast::Outcome outcome) {
  switch (outcome) {
    case Forecast::Outcome::TooEarly:
      break;
    case Forecast::Outcome::NoneInSight:
      return "none_in_sight";
    case Forecast::Outcome::Beyond:
      return "beyond";
    case Forecast::Outcome::Exhausts:
      return "exhausts";
  }
  return "too_early";
}

}  // namespace

Json host_memory_json(const HostMemory& host) {
  return {{"total_bytes", host.total_bytes},         {"free_bytes", host.free_bytes},
          {"available_bytes", host.available_bytes}, {"cached_bytes", host.cached_bytes},
          {"shmem_bytes", host.shmem_bytes},         {"swap_total_bytes", host.swap_total_bytes},
          {"swap_free_bytes", host.swap_free_bytes}};
}

Json estimate_json(const Estimate& estimate) {
  return {{"value", finite(estimate.value)}, {"lower", finite(estimate.lower)}, {"upper", finite(estimate.upper)}};
}

Json limit_json(const Headroom& limit) {
  return {{"cgroup", limit.cgroup.empty() ? Json(nullptr) : Json(limit.cgroup)},
          {"limit_bytes", limit.limit_bytes},
          {"use_bytes", limit.use_bytes},
          {"room_bytes", limit.room_bytes},
          {"swap_room_bytes", limit.swap_bytes}};
}

Json forecast_json(const Forecast& forecast) {
  return {{"outcome", outcome_name(forecast.outcome)}, {"seconds", estimate_json(forecast.seconds)}};
}

}  // namespace alloctrail
