// SPDX-License-Identifier: Apache-2.0
// Which processes the user means: by number, by name, by cgroup.
#pragma once

#include <string>
#include <vector>

#include "user/ids.h"
#include "user/result.h"

namespace alloctrail {

/// Processes whose main thread's comm, or the base name of whose executable, is `name`. Never our own. Error: none.
[[nodiscard]] Result<std::vector<Tgid>> find_by_comm(const std::string& name);

/// Processes in the cgroup `directory` (absolute, or relative to a cgroup mount) and below it. Never our own. Error: none,
/// or no such cgroup.
[[nodiscard]] Result<std::vector<Tgid>> find_by_cgroup(const std::string& directory);

}  // namespace alloctrail
