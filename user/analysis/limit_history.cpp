// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/limit_history.h"

#include <set>

namespace alloctrail {

void LimitHistory::add(double now_s, const MemoryBounds& bounds) {
  std::set<std::string> seen;
  for (const Headroom& each : headrooms(bounds))
    if (seen.insert(each.cgroup).second) uses_[each.cgroup].add({now_s, static_cast<double>(each.use_bytes)});
  std::erase_if(uses_, [&](const auto& entry) { return !seen.contains(entry.first); });
}

void LimitHistory::add(const Snapshot& snapshot) {
  if (snapshot.bounds) add(std::chrono::duration<double>(snapshot.elapsed).count(), *snapshot.bounds);
}

LimitView LimitHistory::view(const MemoryBounds& bounds) const {
  LimitView out{.nearest = nearest_limit(bounds), .left = {}, .warned_percent = {}};
  const auto use = uses_.find(out.nearest.cgroup);
  out.left = forecast(use == uses_.end() ? std::nullopt : trend(use->second.floors()), out.nearest.room_bytes);
  return out;
}

std::optional<LimitView> LimitHistory::view(const Snapshot& snapshot) const {
  return snapshot.bounds ? std::optional<LimitView>(view(*snapshot.bounds)) : std::nullopt;
}

}  // namespace alloctrail
