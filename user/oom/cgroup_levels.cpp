// SPDX-License-Identifier: Apache-2.0
#include "user/oom/cgroup_levels.h"

#include <algorithm>
#include <cstring>

namespace alloctrail {
namespace {

constexpr uint64_t kChargeBatchPages = 64;
// page_counter's "no limit": the largest number of pages that fits a signed word of bytes.
constexpr uint64_t kUnlimitedPages = uint64_t{1} << 50;

size_t level_count(const at_oom_kill& kill) { return std::min<size_t>(kill.level_count, AT_OOM_LEVELS); }

}  // namespace

std::optional<uint64_t> limit_pages(const at_oom_level& level) {
  return level.limit_pages < kUnlimitedPages ? std::optional<uint64_t>(level.limit_pages) : std::nullopt;
}

std::vector<std::string> level_paths(const at_oom_kill& kill) {
  std::vector<std::string> paths(level_count(kill));
  std::string path;
  for (size_t i = paths.size(); i-- > 0;) {
    const char* field = kill.levels[i].name;
    const std::string name(field, strnlen(field, sizeof(kill.levels[i].name)));
    path = name.empty() || name == "/" ? "" : path + "/" + name;
    paths[i] = path.empty() ? "/" : path;
  }
  return paths;
}

std::optional<size_t> full_level(const at_oom_kill& kill) {
  for (size_t i = 0; i < level_count(kill); ++i) {
    const auto limit = limit_pages(kill.levels[i]);
    if (limit && kill.levels[i].usage_pages + kChargeBatchPages >= *limit) return i;
  }
  return std::nullopt;
}

std::optional<size_t> tightest_level(const at_oom_kill& kill) {
  std::optional<size_t> tightest;
  uint64_t least = UINT64_MAX;
  for (size_t i = 0; i < level_count(kill); ++i) {
    const auto limit = limit_pages(kill.levels[i]);
    if (!limit) continue;
    const uint64_t room = *limit > kill.levels[i].usage_pages ? *limit - kill.levels[i].usage_pages : 0;
    if (room >= least) continue;
    least = room;
    tightest = i;
  }
  return tightest;
}

}  // namespace alloctrail
