// SPDX-License-Identifier: Apache-2.0
// Reads all processes of the host again and again, for days, at little cost: statm of each through a descriptor that
// stays open, everything else only of those whose statm has changed.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "user/handles.h"
#include "user/ids.h"
#include "user/model/host_snapshot.h"
#include "user/result.h"
#include "user/target/memory_cgroup.h"

namespace alloctrail {

class HostReader {
 public:
  /// Raises the limit of open files as far as it may.
  HostReader();

  /// All processes, or only the given ones. Fails if /proc cannot be read at all.
  [[nodiscard]] Result<HostSnapshot> read(const std::optional<std::vector<Tgid>>& only = std::nullopt);

 private:
  struct Known {
    UniqueFd statm;    ///< empty: opened anew each time, because too many are open
    std::string line;  ///< the statm that `process` belongs to
    bool kernel_thread = false;
    HostProcess process;
  };
  enum class Seen { Listed, WithoutMemory, Vanished, Unreadable };

  Seen read_process(pid_t id, Known& known);
  Seen find_memory(pid_t id, Known& known);
  Seen read_details(pid_t id, Known& known);
  [[nodiscard]] Result<std::string> read_statm(pid_t id, Known& known);
  void read_cgroups(HostSnapshot& snapshot);

  std::chrono::steady_clock::time_point started_;
  std::optional<MemoryHierarchy> hierarchy_;
  bool others_hidden_ = false;
  size_t most_open_ = 0;
  size_t open_ = 0;
  std::unordered_map<pid_t, Known> known_;
  std::map<std::string, std::vector<CgroupMemory>> cgroups_;
  std::string next_cgroup_;  ///< where the next read goes on
};

/// Whether the text of mountinfo shows a /proc that hides the processes of others.
[[nodiscard]] bool hides_processes(std::string_view mountinfo);

}  // namespace alloctrail
