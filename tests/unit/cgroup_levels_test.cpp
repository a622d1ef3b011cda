// SPDX-License-Identifier: Apache-2.0
#include "user/oom/cgroup_levels.h"

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>

namespace alloctrail {
namespace {

struct Level {
  const char* name;
  uint64_t usage_pages;
  uint64_t limit_pages;
};
constexpr uint64_t kNone = (uint64_t{1} << 63) / 4096;  // PAGE_COUNTER_MAX

at_oom_kill kill_in(std::initializer_list<Level> innermost_first) {
  at_oom_kill kill{};
  for (const Level& level : innermost_first) {
    at_oom_level& record = kill.levels[kill.level_count++];
    std::strncpy(record.name, level.name, sizeof(record.name));
    record.usage_pages = level.usage_pages;
    record.limit_pages = level.limit_pages;
  }
  return kill;
}

TEST(CgroupLevels, PathsEndInTheVictimsOwn) {
  const auto paths = level_paths(kill_in({{"worker", 0, kNone}, {"app", 0, kNone}, {"", 0, kNone}}));
  EXPECT_EQ(paths, (std::vector<std::string>{"/app/worker", "/app", "/"}));
  EXPECT_EQ(level_paths(kill_in({{"/", 0, kNone}})), std::vector<std::string>{"/"});
  EXPECT_TRUE(level_paths(at_oom_kill{}).empty());
}

TEST(CgroupLevels, ANameThatFillsItsFieldIsTakenWhole) {
  at_oom_kill kill = kill_in({{"x", 0, kNone}});
  std::memset(kill.levels[0].name, 'a', sizeof(kill.levels[0].name));
  EXPECT_EQ(level_paths(kill)[0], "/" + std::string(sizeof(kill.levels[0].name), 'a'));
}

TEST(CgroupLevels, TheInnermostFullOneIsNamed) {
  EXPECT_EQ(full_level(kill_in({{"a", 10, 1000}, {"b", 1000, 1000}, {"", 5000, kNone}})), 1U);
  EXPECT_EQ(full_level(kill_in({{"a", 1000, 1000}, {"b", 1000, 1000}})), 0U);
  EXPECT_EQ(full_level(kill_in({{"a", 936, 1000}})), 0U);  // one batch of charges below
  EXPECT_EQ(full_level(kill_in({{"a", 935, 1000}, {"", 5000, kNone}})), std::nullopt);
}

TEST(CgroupLevels, TheTightestIsTheOneWithTheLeastRoom) {
  EXPECT_EQ(tightest_level(kill_in({{"a", 10, 1000}, {"b", 500, 1000}, {"", 5000, kNone}})), 1U);
  EXPECT_EQ(tightest_level(kill_in({{"a", 500, 1000}, {"b", 500, 1000}})), 0U);
  EXPECT_EQ(tightest_level(kill_in({{"", 5000, kNone}})), std::nullopt);
}

TEST(CgroupLevels, ACountFromNowhereIsBounded) {
  at_oom_kill kill{};
  kill.level_count = 4'000'000'000U;
  EXPECT_EQ(level_paths(kill).size(), size_t{AT_OOM_LEVELS});
  EXPECT_TRUE(full_level(kill));  // usage 0 of a limit of 0
}

}  // namespace
}  // namespace alloctrail
