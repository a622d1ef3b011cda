// SPDX-License-Identifier: Apache-2.0
#include "user/commands/limit_watch.h"

#include <algorithm>
#include <utility>

#include "user/target/memory_cgroup.h"

namespace alloctrail {

int LimitWatch::wait_ms() const {
  if (!warn_at_percent_) return -1;
  auto next = Clock::now() + kLatestLook;
  for (const auto& [pid, process] : processes_) next = std::min(next, process.next_look);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

/// The limit as it is now, and in the history; nothing once the process is gone.
std::optional<LimitView> LimitWatch::look_at(Tgid pid, Process& process) {
  const auto bounds = read_memory_bounds(pid);
  const auto now = Clock::now();
  process.next_look = now + kLatestLook;
  if (!bounds) return std::nullopt;
  if (now >= process.next_sample) {
    process.history.add(std::chrono::duration<double>(now.time_since_epoch()).count(), *bounds);
    process.next_sample = now + kLatestLook;
  }
  return process.history.view(*bounds);
}

std::vector<LimitWatch::Warning> LimitWatch::look(const std::vector<Tgid>& pids) {
  std::vector<Warning> due;
  if (!warn_at_percent_) return due;
  std::erase_if(processes_, [&](const auto& entry) { return std::ranges::find(pids, entry.first) == pids.end(); });
  for (const Tgid pid : pids) {
    Process& process = processes_.try_emplace(pid, *warn_at_percent_).first->second;
    if (Clock::now() < process.next_look) continue;
    auto limit = look_at(pid, process);
    if (!limit) continue;
    limit->warned_percent = process.alarm.reached(limit->nearest, Clock::now().time_since_epoch());
    const auto fastest = std::chrono::milliseconds(process.alarm.bytes_to_next(limit->nearest) * 1000 / kFastestBytesPerSecond);
    process.next_look = Clock::now() + std::clamp(fastest, kSoonestLook, kLatestLook);
    if (limit->warned_percent) due.push_back({.pid = pid, .limit = *std::move(limit)});
  }
  return due;
}

std::optional<LimitView> LimitWatch::at_reclaim(Tgid pid) {
  if (!warn_at_percent_) return std::nullopt;
  Process& process = processes_.try_emplace(pid, *warn_at_percent_).first->second;
  auto limit = look_at(pid, process);
  if (!limit) return std::nullopt;
  bool& told = process.alarm.raised(limit->nearest) ? process.told_reclaim_above : process.told_reclaim_below;
  return std::exchange(told, true) ? std::nullopt : std::move(limit);
}

}  // namespace alloctrail
