// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/forecast.h"

#include <algorithm>
#include <limits>
#include <ranges>

namespace alloctrail {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kFarthestLook = 10;  // times the observed span

uint64_t rest(uint64_t whole, uint64_t part) {
  return whole > part ? whole - part : 0;
}

Headroom of_host(const HostMemory& host) {
  Headroom out;
  out.limit_bytes = host.total_bytes + host.swap_total_bytes;
  out.swap_bytes = host.swap_free_bytes;
  out.room_bytes = host.available_bytes + host.swap_free_bytes;
  out.use_bytes = rest(out.limit_bytes, out.room_bytes);
  return out;
}

/// Of a limit on memory, and of v1's on memory and swap together.
void add_cgroup(const CgroupMemory& cgroup, uint64_t swap, std::vector<Headroom>& out) {
  const uint64_t use = cgroup.unreclaimable_bytes();
  if (cgroup.limit_bytes)
    out.push_back({cgroup.name, *cgroup.limit_bytes, use, swap, rest(*cgroup.limit_bytes, use) + swap});
  if (cgroup.memory_and_swap_limit_bytes) {
    const uint64_t limit = *cgroup.memory_and_swap_limit_bytes;
    out.push_back({cgroup.name, limit, use + cgroup.swap_use_bytes, 0, rest(limit, use + cgroup.swap_use_bytes)});
  }
}

}  // namespace

std::vector<Headroom> headrooms(const MemoryBounds& bounds) {
  std::vector<Headroom> out = {of_host(bounds.host)};
  // Outermost first: a cgroup can use no more swap than those around it have left.
  uint64_t swap = bounds.host.swap_free_bytes;
  for (const CgroupMemory& cgroup : bounds.cgroups | std::views::reverse) {
    if (cgroup.swap_limit_bytes) swap = std::min(swap, rest(*cgroup.swap_limit_bytes, cgroup.swap_use_bytes));
    add_cgroup(cgroup, swap, out);
  }
  std::ranges::reverse(out);
  return out;
}

Headroom nearest_limit(const MemoryBounds& bounds) {
  const std::vector<Headroom> all = headrooms(bounds);
  return *std::ranges::min_element(all, {}, &Headroom::room_bytes);
}

Forecast forecast(const std::optional<Trend>& growth, uint64_t room_bytes) {
  using Outcome = Forecast::Outcome;
  const auto room = static_cast<double>(room_bytes);
  if (room_bytes == 0) return {Outcome::Exhausts, {0, 0, 0}};
  if (!growth || !growth->per_s.bounded()) return {};
  const Estimate& rate = growth->per_s;
  const double soonest = rate.upper > 0 ? room / rate.upper : kNever;
  if (rate.lower <= 0) return {Outcome::NoneInSight, {kNever, soonest, kNever}};
  const Estimate seconds{room / rate.value, soonest, room / rate.lower};
  const double farthest = kFarthestLook * growth->span_s;
  if (seconds.lower > farthest) return {Outcome::Beyond, {kNever, farthest, kNever}};
  return {Outcome::Exhausts, seconds};
}

}  // namespace alloctrail
