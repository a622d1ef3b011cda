// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/limit_history.h"

#include <set>

namespace alloctrail {

void LimitHistory::add(const Snapshot& snapshot) {
  if (!snapshot.bounds) return;
  const double now = std::chrono::duration<double>(snapshot.elapsed).count();
  std::set<std::string> seen;
  for (const Headroom& each : headrooms(*snapshot.bounds))
    if (seen.insert(each.cgroup).second) uses_[each.cgroup].add({now, static_cast<double>(each.use_bytes)});
  std::erase_if(uses_, [&](const auto& entry) { return !seen.contains(entry.first); });
}

std::optional<LimitView> LimitHistory::view(const Snapshot& snapshot) const {
  if (!snapshot.bounds) return std::nullopt;
  LimitView out{nearest_limit(*snapshot.bounds), {}};
  const auto use = uses_.find(out.nearest.cgroup);
  out.left = forecast(use == uses_.end() ? std::nullopt : trend(use->second.floors()), out.nearest.room_bytes);
  return out;
}

}  // namespace alloctrail
