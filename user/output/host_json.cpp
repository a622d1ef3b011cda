// SPDX-License-Identifier: Apache-2.0
#include "user/output/host_json.h"

#include "user/output/memory_json.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

using Json = nlohmann::ordered_json;

Json process_json(const HostProcess& process, const HostRow& row) {
  const MemoryStatus& memory = process.memory;
  const Estimate per_s = row.growth ? row.growth->per_s : Estimate{};
  Json out = {
      {"pid", raw(process.pid)},
      {"ppid", raw(process.parent)},
      {"comm", process.comm},
      {"growth_bytes_per_h",
       row.growth ? estimate_json({per_s.value * 3600, per_s.lower * 3600, per_s.upper * 3600}) : Json(nullptr)},
      {"grows", row.growth && row.growth->grows()},
      {"rss_bytes", memory.vm_rss_bytes},
      {"rss_anon_bytes", memory.rss_anon_bytes},
      {"rss_file_bytes", memory.rss_file_bytes},
      {"rss_shmem_bytes", memory.rss_shmem_bytes},
      {"swap_bytes", memory.vm_swap_bytes},
      {"vm_data_bytes", memory.vm_data_bytes},
      {"vm_size_bytes", memory.vm_size_bytes},
      {"pss_bytes", process.pss_bytes ? Json(*process.pss_bytes) : Json(nullptr)},
      {"threads", memory.threads},
      {"cgroup", process.cgroup}};
  out["limit"] = limit_json(row.limit);
  out["time_left"] = forecast_json(row.left);
  return out;
}

}  // namespace

std::string host_json(const HostSnapshot& snapshot, const HostTable& table) {
  Json processes = Json::array();
  for (const HostRow& row : table.rows) processes.push_back(process_json(snapshot.processes[row.process], row));
  const Json out = {{"schema", "alloctrail/ps/1"},
                    {"time", format_rfc3339(snapshot.time)},
                    {"elapsed_s", std::chrono::duration<double>(snapshot.elapsed).count()},
                    {"host", host_memory_json(snapshot.memory)},
                    {"processes", std::move(processes)},
                    {"processes_left_out", {{"rows", table.left_out_rows}, {"rss_bytes", table.left_out_rss_bytes}}},
                    {"unreadable", snapshot.unreadable},
                    {"vanished", snapshot.vanished},
                    {"others_hidden", snapshot.others_hidden}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace alloctrail
