// SPDX-License-Identifier: Apache-2.0
#include "user/output/host_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "user/output/limit_text.h"
#include "user/output/text_table.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

std::string per_hour_text(double bytes_per_s) {
  const double per_hour = bytes_per_s * 3600;
  if (std::abs(per_hour) < 1) return "0";
  return (per_hour < 0 ? "-" : "+") + format_bytes(static_cast<uint64_t>(std::min(std::abs(per_hour), 1e18)));
}

std::string interval_text(const Trend& growth) {
  if (!growth.per_s.bounded()) return "?";
  if (growth.per_s.lower == growth.per_s.upper) return "";
  return per_hour_text(growth.per_s.lower) + " to " + per_hour_text(growth.per_s.upper);
}

std::string host_line(const HostMemory& host, const TextStyle& style) {
  return TextLine(style)
      .add("host ", Look::Heading)
      .add(fmt::format(
          "{}   free {}   available {}   cached {}   shared {}   swap {} of {} free", format_bytes(host.total_bytes),
          format_bytes(host.free_bytes), format_bytes(host.available_bytes), format_bytes(host.cached_bytes),
          format_bytes(host.shmem_bytes), format_bytes(host.swap_free_bytes), format_bytes(host.swap_total_bytes)))
      .str();
}

std::string time_line(const HostSnapshot& snapshot, const TextStyle& style) {
  TextLine line(style);
  line.add(fmt::format("{}   {} watched   {} process{}", format_clock(snapshot.time), format_duration(snapshot.elapsed),
                       format_count(snapshot.processes.size()), snapshot.processes.size() == 1 ? "" : "es"));
  if (snapshot.vanished != 0) line.add(fmt::format("   {} ended while being read", format_count(snapshot.vanished)));
  std::string text = line.str();
  if (snapshot.unreadable != 0)
    text += wrapped(fmt::format("NOTE {} processes may not be looked at: run as root to see them",
                                format_count(snapshot.unreadable)),
                    5, Look::Warning, style);
  if (snapshot.others_hidden)
    text += wrapped("NOTE /proc hides the processes of other users here (hidepid): run as root to see them", 5,
                    Look::Warning, style);
  return text;
}

std::vector<Column> columns(bool with_pss, bool with_limit) {
  std::vector<Column> out = {{"PID"},
                             {"NAME", Align::Left, Look::Strong, 8},
                             {"GROWTH/H", Align::Right, Look::Heading},
                             {"95 % INTERVAL", Align::Left}};
  for (const char* title : {"RSS", "ANON", "FILE", "SHMEM", "SWAP", "VMDATA"}) out.push_back({title});
  if (with_pss) out.push_back({"PSS"});
  out.push_back({"THREADS"});
  if (with_limit) out.push_back({"LIMIT", Align::Left, Look::Plain, 6});
  out.push_back({"ROOM"});
  out.push_back({"TIME LEFT"});
  return out;
}

}  // namespace

std::string host_text(const HostSnapshot& snapshot, const HostTable& table, const TextStyle& style) {
  const auto process_of = [&](const HostRow& row) -> const HostProcess& { return snapshot.processes[row.process]; };
  const bool with_pss =
      std::ranges::any_of(table.rows, [&](const HostRow& row) { return process_of(row).pss_bytes.has_value(); });
  const bool with_limit = std::ranges::any_of(table.rows, [](const HostRow& row) { return !row.limit.cgroup.empty(); });
  TextTable text(columns(with_pss, with_limit));
  for (const HostRow& row : table.rows) {
    const HostProcess& process = process_of(row);
    const MemoryStatus& memory = process.memory;
    std::vector<std::string> cells = {
        fmt::format("{}", raw(process.pid)), std::string(2 * row.depth, ' ') + process.comm,
        row.growth ? per_hour_text(row.growth->per_s.value) : "?", row.growth ? interval_text(*row.growth) : "?"};
    for (const uint64_t bytes : {memory.vm_rss_bytes, memory.rss_anon_bytes, memory.rss_file_bytes,
                                 memory.rss_shmem_bytes, memory.vm_swap_bytes, memory.vm_data_bytes})
      cells.push_back(format_bytes(bytes));
    if (with_pss) cells.push_back(process.pss_bytes ? format_bytes(*process.pss_bytes) : "?");
    cells.push_back(format_count(memory.threads));
    if (with_limit) cells.push_back(limit_name(row.limit));
    cells.push_back(format_bytes(row.limit.room_bytes));
    cells.push_back(time_left_short(row.left));
    text.add_row(std::move(cells));
  }
  std::string out = host_line(snapshot.memory, style) + time_line(snapshot, style) + "\n" + text.str(style);
  if (table.left_out_rows != 0)
    out += TextLine(style)
               .add(fmt::format("{} {} more processes with {} resident", ellipsis(style.charset),
                                format_count(table.left_out_rows), format_bytes(table.left_out_rss_bytes)),
                    Look::Faint)
               .str();
  return out;
}

}  // namespace alloctrail
