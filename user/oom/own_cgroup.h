// SPDX-License-Identifier: Apache-2.0
// Keeps the flight recorder out of the memory cgroup whose kill it is to record: in there its own memory counts against the
// victim's limit, it may be killed itself, and reading /proc, which allocates, can set the OOM killer off.
#pragma once

#include <string>
#include <vector>

#include "user/ids.h"

namespace alloctrail {

/// How this process stands to the processes it watches.
struct OwnCgroup {
  std::string shared;  ///< the limited memory cgroup that it shares with them; empty: none
  bool left = false;   ///< it did share it, and has moved to the root of the hierarchy
  [[nodiscard]] bool is_shared() const { return !shared.empty() && !left; }
};

/// `watched` empty: every process of the machine.
[[nodiscard]] OwnCgroup find_own_cgroup(const std::vector<Tgid>& watched);

/// The same; moves this process out of a cgroup it shares, if it may. To be called before memory is allocated that counts:
/// what is charged already stays where it is. The root has no limit, and nothing is left behind there.
[[nodiscard]] OwnCgroup leave_shared_cgroup(const std::vector<Tgid>& watched);

/// What a user must know who leaves it in there.
[[nodiscard]] std::string shared_cgroup_warning(const OwnCgroup& own);

}  // namespace alloctrail
