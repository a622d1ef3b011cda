// SPDX-License-Identifier: Apache-2.0
#include "user/oom/own_cgroup.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "user/handles.h"
#include "user/target/memory_cgroup.h"
#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

constexpr size_t kMostProcsBytes = 1u << 20;

Tgid ourselves() { return Tgid(static_cast<uint32_t>(getpid())); }

bool has_limit(const CgroupMemory& cgroup) { return cgroup.limit_bytes || cgroup.memory_and_swap_limit_bytes; }

bool is_within(std::string_view name, std::string_view cgroup) {
  return name == cgroup || cgroup == "/" || (name.starts_with(cgroup) && name.substr(cgroup.size()).starts_with('/'));
}

/// Is this process alone in its own cgroup, as a service with a limit of its own is?
bool is_alone_in(const MemoryHierarchy& hierarchy, const std::string& name) {
  const std::string below = hierarchy.root == "/" ? name : name.substr(hierarchy.root.size());
  const auto text = read_small_file(hierarchy.mount_point + below + "/cgroup.procs", kMostProcsBytes);
  return text && *text == std::to_string(getpid()) + "\n";
}

bool any_within(const MemoryHierarchy& hierarchy, const std::vector<Tgid>& watched, const std::string& cgroup) {
  return std::ranges::any_of(watched, [&](Tgid pid) {
    const auto name = memory_cgroup_of(hierarchy, pid);
    return name && is_within(*name, cgroup);
  });
}

std::string shared_cgroup(const MemoryHierarchy& hierarchy, const std::vector<Tgid>& watched) {
  const auto own = memory_cgroup_of(hierarchy, ourselves());
  const auto levels = own ? read_memory_cgroup(hierarchy, *own) : Result<CgroupLevels>(CgroupLevels());
  if (!levels) return "";
  for (const CgroupMemory& level : levels->innermost_first) {
    if (!has_limit(level)) continue;
    const bool shared = watched.empty() ? level.name != *own || !is_alone_in(hierarchy, level.name)
                                        : any_within(hierarchy, watched, level.name);
    if (shared) return level.name;
  }
  return "";
}

bool move_to_root(const MemoryHierarchy& hierarchy) {
  if (hierarchy.root != "/") return false;
  const UniqueFd file(open((hierarchy.mount_point + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), "0", 1) == 1;
}

}  // namespace

OwnCgroup find_own_cgroup(const std::vector<Tgid>& watched) {
  const auto hierarchy = find_memory_hierarchy();
  return {.shared = hierarchy ? shared_cgroup(*hierarchy, watched) : "", .left = false};
}

OwnCgroup leave_shared_cgroup(const std::vector<Tgid>& watched) {
  OwnCgroup own = find_own_cgroup(watched);
  if (own.shared.empty()) return own;
  const auto hierarchy = find_memory_hierarchy();
  own.left = hierarchy && move_to_root(*hierarchy) && shared_cgroup(*hierarchy, watched).empty();
  return own;
}

std::string shared_cgroup_warning(const OwnCgroup& own) {
  return "WARNING: alloctrail shares the memory limit of cgroup " + own.shared +
         " with what it watches: its memory counts there, and an OOM kill may take it instead. It will only record what "
         "the kernel half sees, and hold nothing. Start it outside of that cgroup.";
}

}  // namespace alloctrail
