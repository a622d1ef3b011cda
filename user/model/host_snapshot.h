// SPDX-License-Identifier: Apache-2.0
// HostSnapshot: every process of the host that has memory, at one moment, as a plain value. Read by target/host_reader,
// without any probe.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "user/ids.h"
#include "user/model/memory.h"

namespace alloctrail {

struct HostProcess {
  Tgid pid{};
  Tgid parent{};
  uint64_t start_ticks = 0;  ///< with `pid`: its identity
  std::string comm;          ///< raw bytes
  MemoryStatus memory;
  std::string cgroup;                 ///< its memory cgroup; empty: unknown
  std::optional<uint64_t> pss_bytes;  ///< only if asked for, and readable
};

struct HostSnapshot {
  std::chrono::system_clock::time_point time;
  std::chrono::nanoseconds elapsed{};  ///< since the first of the run
  HostMemory memory;
  std::vector<HostProcess> processes;  ///< by number
  /// By name: the cgroup and those around it, innermost first. Cgroups that cannot be read are missing.
  std::map<std::string, std::vector<CgroupMemory>> cgroups;
  uint64_t unreadable = 0;     ///< processes that are there, and may not be looked at
  uint64_t vanished = 0;       ///< that ended while they were being read
  bool others_hidden = false;  ///< /proc is mounted with hidepid: there are processes that are not even listed
};

}  // namespace alloctrail
