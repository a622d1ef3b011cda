// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/host_table.h"

#include <algorithm>
#include <tuple>

namespace alloctrail {
namespace {

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

MemoryBounds bounds_of(const HostSnapshot& snapshot, const std::string& cgroup) {
  MemoryBounds out;
  out.host = snapshot.memory;
  const auto levels = snapshot.cgroups.find(cgroup);
  if (levels != snapshot.cgroups.end()) out.cgroups = levels->second;
  return out;
}

/// Most processes of a host do nothing for minutes.
std::optional<Trend> trend_of(const FloorSeries& series) {
  const auto floors = series.floors();
  const bool flat =
      floors.size() >= 5 && std::ranges::all_of(floors, [&](const Sample& s) { return s.value == floors[0].value; });
  if (!flat) return trend(floors);
  return Trend{{0, 0, 0}, floors[0].value, floors.back().at_s - floors.front().at_s, floors.size()};
}

/// Among many processes that go up and down some look as if they grew, by chance, but with a wide interval. So what is sure
/// counts the less the wider the interval is.
double strength(const Estimate& per_s) { return per_s.lower * (per_s.lower / per_s.upper); }

/// Sure growth before growth that may be chance, then the larger process.
auto rank(const HostRow& row, const HostSnapshot& snapshot) {
  const bool sure = row.growth && row.growth->grows();
  const double rate = !row.growth ? 0 : sure ? strength(row.growth->per_s) : row.growth->per_s.value;
  const HostProcess& process = snapshot.processes[row.process];
  return std::tuple(!sure, -rate, ~process.memory.vm_rss_bytes, raw(process.pid));
}

/// `rows` are in rank order and stay so among brothers.
std::vector<HostRow> tree(std::vector<HostRow> rows, const HostSnapshot& snapshot) {
  std::map<Tgid, size_t> row_of;
  for (size_t i = 0; i < rows.size(); ++i) row_of[snapshot.processes[rows[i].process].pid] = i;
  std::vector<std::vector<size_t>> children(rows.size());
  std::vector<size_t> open;  // a stack: the next row is at its end
  for (size_t i = rows.size(); i-- > 0;) {
    const auto parent = row_of.find(snapshot.processes[rows[i].process].parent);
    const bool has_parent = parent != row_of.end() && parent->second != i;
    (has_parent ? children[parent->second] : open).push_back(i);
  }
  std::vector<HostRow> out;
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    out.push_back(rows[at]);
    for (const size_t child : children[at]) {
      rows[child].depth = rows[at].depth + 1;
      open.push_back(child);
    }
  }
  return out;
}

}  // namespace

void HostHistory::add(const HostSnapshot& snapshot) {
  const double now = seconds(snapshot.elapsed);
  std::map<Identity, FloorSeries> processes;
  std::map<std::string, uint64_t> uses = {{"", nearest_limit(MemoryBounds{{}, false, snapshot.memory}).use_bytes}};
  for (const HostProcess& process : snapshot.processes) {
    auto known = processes_.extract(Identity{process.pid, process.start_ticks});
    FloorSeries series = known ? std::move(known.mapped()) : FloorSeries();
    series.add({now, static_cast<double>(process.memory.vm_rss_bytes + process.memory.vm_swap_bytes)});
    processes.emplace(Identity{process.pid, process.start_ticks}, std::move(series));
  }
  for (const auto& [name, levels] : snapshot.cgroups)
    for (const Headroom& each : headrooms(bounds_of(snapshot, name))) uses.emplace(each.cgroup, each.use_bytes);
  std::erase_if(limits_, [&](const auto& entry) { return !uses.contains(entry.first); });
  for (const auto& [cgroup, use] : uses) limits_[cgroup].add({now, static_cast<double>(use)});
  processes_ = std::move(processes);
}

HostTable HostHistory::table(const HostSnapshot& snapshot, const HostQuery& query) const {
  std::map<std::string, std::pair<Headroom, Forecast>> limit_of;  // by the process's cgroup
  std::vector<HostRow> rows;
  for (uint32_t i = 0; i < snapshot.processes.size(); ++i) {
    const HostProcess& process = snapshot.processes[i];
    HostRow& row = rows.emplace_back();
    row.process = i;
    const auto series = processes_.find({process.pid, process.start_ticks});
    if (series != processes_.end()) row.growth = trend_of(series->second);
    const auto [limit, is_new] = limit_of.try_emplace(process.cgroup);
    if (is_new) {
      limit->second.first = nearest_limit(bounds_of(snapshot, process.cgroup));
      const auto use = limits_.find(limit->second.first.cgroup);
      const auto growth = use == limits_.end() ? std::nullopt : trend_of(use->second);
      limit->second.second = forecast(growth, limit->second.first.room_bytes);
    }
    std::tie(row.limit, row.left) = limit->second;
  }
  std::ranges::sort(rows, {}, [&](const HostRow& row) { return rank(row, snapshot); });
  HostTable out;
  out.rows = query.order == RowOrder::Tree ? tree(std::move(rows), snapshot) : std::move(rows);
  const size_t shown = std::min(query.top.value_or(out.rows.size()), out.rows.size());
  for (size_t i = shown; i < out.rows.size(); ++i)
    out.left_out_rss_bytes += snapshot.processes[out.rows[i].process].memory.vm_rss_bytes;
  out.left_out_rows = out.rows.size() - shown;
  out.rows.resize(shown);
  return out;
}

}  // namespace alloctrail
