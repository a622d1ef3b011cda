// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/forecast.h"

#include <gtest/gtest.h>

namespace alloctrail {
namespace {

using Outcome = Forecast::Outcome;
constexpr uint64_t kMiB = 1 << 20;

MemoryBounds host_of(uint64_t available_mib, uint64_t swap_free_mib = 0) {
  MemoryBounds out;
  out.host = {.total_bytes = 1000 * kMiB,
              .free_bytes = 1,
              .available_bytes = available_mib * kMiB,
              .swap_total_bytes = swap_free_mib * kMiB,
              .swap_free_bytes = swap_free_mib * kMiB};
  return out;
}

CgroupMemory cgroup(const char* name, uint64_t limit_mib, uint64_t use_mib, uint64_t reclaimable_mib = 0) {
  CgroupMemory out;
  out.name = name;
  out.limit_bytes = limit_mib * kMiB;
  out.use_bytes = use_mib * kMiB;
  out.reclaimable_bytes = reclaimable_mib * kMiB;
  return out;
}

TEST(Headroom, WithoutLimitsTheHostBounds) {
  MemoryBounds bounds = host_of(300);
  bounds.cgroups.push_back(cgroup("/free", 0, 500));
  bounds.cgroups[0].limit_bytes.reset();
  EXPECT_EQ(nearest_limit(bounds), (Headroom{"", 1000 * kMiB, 700 * kMiB, 0, 300 * kMiB}));
}

TEST(Headroom, TheAncestorWithTheLeastRoomBounds) {
  MemoryBounds bounds = host_of(300);
  bounds.cgroups = {cgroup("/a/b", 100, 10), cgroup("/a", 200, 160)};
  EXPECT_EQ(nearest_limit(bounds), (Headroom{"/a", 200 * kMiB, 160 * kMiB, 0, 40 * kMiB}));
  bounds.host.available_bytes = 39 * kMiB;
  EXPECT_EQ(nearest_limit(bounds).cgroup, "");
}

TEST(Headroom, PageCacheIsRoomNotUse) {
  MemoryBounds bounds = host_of(300);
  bounds.cgroups = {cgroup("/cache", 100, 99, 80)};
  const Headroom nearest = nearest_limit(bounds);
  EXPECT_EQ(nearest.use_bytes, 19 * kMiB);
  EXPECT_EQ(nearest.room_bytes, 81 * kMiB);
}

TEST(Headroom, SwapIsRoomAsFarAsEveryCgroupAroundAllows) {
  MemoryBounds bounds = host_of(300, 500);
  bounds.cgroups = {cgroup("/a/b", 100, 90), cgroup("/a", 5000, 90)};
  EXPECT_EQ(nearest_limit(bounds).room_bytes, 510 * kMiB);
  bounds.cgroups[1].swap_limit_bytes = 64 * kMiB;
  bounds.cgroups[1].swap_use_bytes = 60 * kMiB;
  EXPECT_EQ(nearest_limit(bounds), (Headroom{"/a/b", 100 * kMiB, 90 * kMiB, 4 * kMiB, 14 * kMiB}));
}

TEST(Headroom, LimitOnMemoryAndSwapTogetherCountsBoth) {
  MemoryBounds bounds = host_of(300, 500);
  bounds.cgroups = {cgroup("/v1", 100, 90, 20)};
  bounds.cgroups[0].memory_and_swap_limit_bytes = 150 * kMiB;
  bounds.cgroups[0].swap_use_bytes = 30 * kMiB;
  EXPECT_EQ(nearest_limit(bounds), (Headroom{"/v1", 150 * kMiB, 100 * kMiB, 0, 50 * kMiB}));
}

TEST(Headroom, UseAboveTheLimitLeavesNothing) {
  MemoryBounds bounds = host_of(300);
  bounds.cgroups = {cgroup("/lowered", 10, 90)};
  EXPECT_EQ(nearest_limit(bounds).room_bytes, 0u);
}

Trend growing(double value, double lower, double upper, double span_s = 1000) {
  return {.per_s = {value, lower, upper}, .level = 0, .span_s = span_s, .floors = 20};
}

TEST(Forecast, RoomDividedByTheRateAndItsInterval) {
  const Forecast found = forecast(growing(10, 5, 20), 1000);
  EXPECT_EQ(found.outcome, Outcome::Exhausts);
  EXPECT_EQ(found.seconds, (Estimate{100, 50, 200}));
}

TEST(Forecast, NothingIsForetoldWithoutAnInterval) {
  EXPECT_EQ(forecast(std::nullopt, 1000).outcome, Outcome::TooEarly);
  EXPECT_EQ(forecast(Trend{.per_s = {10}, .span_s = 6, .floors = 3}, 1000).outcome, Outcome::TooEarly);
}

TEST(Forecast, GrowthThatIsNotSureExhaustsNothingButTellsTheSoonest) {
  const Forecast found = forecast(growing(2, -1, 10), 1000);
  EXPECT_EQ(found.outcome, Outcome::NoneInSight);
  EXPECT_EQ(found.seconds.lower, 100);
  EXPECT_EQ(forecast(growing(-2, -3, -1), 1000).seconds.lower, std::numeric_limits<double>::infinity());
}

TEST(Forecast, LooksNoFartherThanTenTimesWhatWasWatched) {
  const Forecast found = forecast(growing(1, 0.9, 1.1, 60), 1'000'000);
  EXPECT_EQ(found.outcome, Outcome::Beyond);
  EXPECT_EQ(found.seconds.lower, 600);
}

TEST(Forecast, WithoutRoomTheTimeIsOver) {
  EXPECT_EQ(forecast(std::nullopt, 0).outcome, Outcome::Exhausts);
  EXPECT_EQ(forecast(std::nullopt, 0).seconds, (Estimate{0, 0, 0}));
}

}  // namespace
}  // namespace alloctrail
