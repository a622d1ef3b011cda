// SPDX-License-Identifier: Apache-2.0
// The memory cgroups of a kill's record: their paths, and which of them was at its limit. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "alloctrail/oom.h"

namespace alloctrail {

/// The limit in pages; none: unlimited.
[[nodiscard]] std::optional<uint64_t> limit_pages(const at_oom_level& level);

/// The path of each level below the mount of the memory controller, the victim's own cgroup first: "/app/worker", "/app",
/// "/". Of a hierarchy deeper than AT_OOM_LEVELS only the inner part of each path is known.
[[nodiscard]] std::vector<std::string> level_paths(const at_oom_kill& kill);

/// The innermost level at its limit: charging gives up less than one batch of pages below it.
[[nodiscard]] std::optional<size_t> full_level(const at_oom_kill& kill);

/// Of the levels with a limit the innermost with the least room; none: there is no limit.
[[nodiscard]] std::optional<size_t> tightest_level(const at_oom_kill& kill);

}  // namespace alloctrail
