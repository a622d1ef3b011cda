// SPDX-License-Identifier: Apache-2.0
// The memory cgroups a process is in, v1 or v2: limits, use, and what of the use could be taken back.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "user/ids.h"
#include "user/model/memory.h"
#include "user/result.h"

namespace alloctrail {

/// The mounted hierarchy that has the memory controller.
struct MemoryHierarchy {
  enum class Version { V1, V2 };
  Version version = Version::V2;
  std::string mount_point;  ///< where it is mounted
  std::string root = "/";   ///< which of its cgroups is mounted there: not "/" in many containers
};

/// From the text of /proc/PID/mountinfo; empty if no memory controller is mounted. Where v1's and v2 are both mounted,
/// v1's has the controller.
[[nodiscard]] std::optional<MemoryHierarchy> parse_memory_hierarchy(std::string_view mountinfo);

/// That of our own mount namespace.
[[nodiscard]] Result<MemoryHierarchy> find_memory_hierarchy();

/// The cgroup's name in the text of /proc/PID/cgroup: "/system.slice/redis.service"; empty if there is none.
[[nodiscard]] std::string memory_cgroup_name(std::string_view proc_cgroup, MemoryHierarchy::Version version);

/// The name of a process's memory cgroup. Fails if the process is gone.
[[nodiscard]] Result<std::string> memory_cgroup_of(const MemoryHierarchy& hierarchy, Tgid pid);

/// The memory cgroup of that name and those around it.
struct CgroupLevels {
  std::vector<CgroupMemory> innermost_first;  ///< without the root of all, which is the host
  bool outer_hidden = false;                  ///< the mount does not show the root of all
};

/// Fails if the cgroup is not there (any more), or lies outside of what is mounted.
[[nodiscard]] Result<CgroupLevels> read_memory_cgroup(const MemoryHierarchy& hierarchy, const std::string& name);

/// Everything that bounds a process now. Without a mounted memory controller only the host does; where its cgroup
/// cannot be read, that is said in `outer_cgroups_hidden`. Fails if the process is gone.
[[nodiscard]] Result<MemoryBounds> read_memory_bounds(Tgid pid);

}  // namespace alloctrail
