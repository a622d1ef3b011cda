// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/history.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/live_view_samples.h"

namespace alloctrail {
namespace {

using samples::leak_in_steps;

std::vector<std::shared_ptr<const Picture>> pictures(std::vector<Snapshot> snapshots) {
  History history;
  std::vector<std::shared_ptr<const Picture>> result;
  for (Snapshot& snapshot : snapshots) result.push_back(history.add(std::make_shared<const Snapshot>(std::move(snapshot))));
  return result;
}

TEST(History, EntriesAddUpToTheSnapshot) {
  const auto all = pictures(leak_in_steps());
  for (const auto& picture : all) {
    Usage threads, stacks, sites;
    for (const ThreadEntry& entry : picture->threads) threads += entry.activity.usage;
    for (const StackEntry& entry : picture->stacks) stacks += entry.activity.usage;
    for (const SiteEntry& entry : picture->sites) sites += entry.activity.usage;
    const Usage whole{picture->snapshot->allocated(), picture->snapshot->freed(), {}};
    EXPECT_EQ(picture->total.usage, whole);
    EXPECT_EQ(threads, whole);
    EXPECT_EQ(stacks, whole);
    EXPECT_EQ(sites, whole);
  }
}

TEST(History, GrowthAndRatesAreThoseOfTheProgram) {
  const auto last = pictures(leak_in_steps()).back();
  const Activity& leaker = last->threads[2].activity;
  ASSERT_TRUE(leaker.course && leaker.course->growth);
  EXPECT_DOUBLE_EQ(leaker.course->growth->per_s.value, 100'000);
  EXPECT_TRUE(leaker.course->growth->grows());
  EXPECT_DOUBLE_EQ(leaker.allocation.blocks_per_s, 1'000);
  EXPECT_DOUBLE_EQ(leaker.allocation.bytes_per_s, 100'000);
  EXPECT_EQ(leaker.release.blocks_per_s, 0);
  const Activity& steady = last->threads[0].activity;
  ASSERT_TRUE(steady.course && steady.course->growth);
  EXPECT_EQ(steady.course->growth->per_s, (Estimate{0, 0, 0}));
}

TEST(History, EntriesKeepTheirPlaceWhenIndicesChange) {
  std::vector<Snapshot> steps = {leak_in_steps()[0], leak_in_steps()[1]};
  Snapshot& later = steps[1];
  std::ranges::reverse(later.threads);
  std::ranges::reverse(later.stacks);
  for (Site& site : later.sites) site.thread = 2 - site.thread, site.stack = 1 - site.stack;
  const auto both = pictures(std::move(steps));
  for (size_t i = 0; i < 3; ++i) {
    const auto name = [&](const Picture& picture) { return picture.snapshot->threads[picture.threads[i].thread].name; };
    EXPECT_EQ(name(*both[0]), name(*both[1]));
  }
  EXPECT_EQ(both[1]->threads[2].activity.usage.outstanding() - both[0]->threads[2].activity.usage.outstanding(),
            (Amount{100'000, 1'000}));
  ASSERT_EQ(both[1]->sites.size(), both[0]->sites.size());
  for (size_t i = 0; i < both[0]->sites.size(); ++i) {
    EXPECT_EQ(both[0]->sites[i].thread, both[1]->sites[i].thread);
    EXPECT_EQ(both[0]->sites[i].stack, both[1]->sites[i].stack);
  }
}

TEST(History, AThreadThatIsGoneFromTheSnapshotIsAbsentAndComesBackAsItself) {
  std::vector<Snapshot> steps(3, leak_in_steps()[0]);
  for (size_t i = 0; i < 3; ++i) steps[i].elapsed = std::chrono::seconds(i + 1);
  steps[1].threads.pop_back();
  steps[1].sites.resize(2);
  const auto all = pictures(std::move(steps));
  EXPECT_EQ(all[1]->threads[2].thread, kAbsent);
  EXPECT_EQ(all[1]->threads[2].activity.usage, Usage{});
  EXPECT_EQ(all[2]->threads[2].thread, 2u);
}

TEST(History, OfManyItemsThoseThatHoldMostAreFollowed) {
  std::vector<Snapshot> steps = {samples::many_threads(1'000)};
  const auto picture = pictures(std::move(steps)).back();
  for (uint32_t i = 0; i < 1'000; ++i)
    EXPECT_EQ(picture->threads[i].activity.course != nullptr, i >= 1'000 - History::kFollowed) << i;
}

TEST(History, StacksCountTheirHoldersAndNameTheLargest) {
  const auto picture = pictures(leak_in_steps()).back();
  const StackEntry& leak = picture->stacks[0];
  EXPECT_EQ(leak.holders, 2u);
  EXPECT_EQ(leak.top_holder, 2u);
  EXPECT_EQ(picture->peak_bytes, picture->total.usage.outstanding().bytes);
}

}  // namespace
}  // namespace alloctrail
