// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/report_table.h"

#include <gtest/gtest.h>

#include "tests/unit/sample_snapshots.h"
#include "user/analysis/allocator_frames.h"

namespace alloctrail {
namespace {

using samples::leaking;
using samples::leaking_before;

std::vector<uint32_t> tids(const Snapshot& snapshot, const ReportView& view) {
  std::vector<uint32_t> result;
  for (const ThreadRow& row : view.threads.rows) result.push_back(raw(snapshot.threads[row.thread].tid));
  return result;
}

std::vector<uint32_t> stacks(const ReportView& view) {
  std::vector<uint32_t> result;
  for (const StackRow& row : view.stacks.rows) result.push_back(row.stack);
  return result;
}

TEST(ReportTable, ThreadsAreRankedByOutstandingBytes) {
  const Snapshot now = leaking();
  const ReportView view = report_view(now, nullptr, {});
  EXPECT_EQ(tids(now, view), (std::vector<uint32_t>{4244, 4242, 4243}));
  EXPECT_EQ(view.threads.rows[0].figures.usage.outstanding(), (Amount{12'689'280, 125'000}));
  EXPECT_DOUBLE_EQ(view.threads.rows[0].figures.share, 12'689'280.0 / 13'046'480.0);
}

TEST(ReportTable, AThreadThatExitedKeepsItsBytes) {
  const Snapshot now = leaking();
  const ReportView view = report_view(now, nullptr, {});
  EXPECT_FALSE(now.threads[view.threads.rows[2].thread].alive);
  EXPECT_EQ(view.threads.rows[2].figures.usage.outstanding(), (Amount{50'000, 100}));
}

TEST(ReportTable, TotalsAreThoseOfAllSites) {
  const ReportView view = report_view(leaking(), nullptr, {1, Tid{4242}, FrameChoice::Callers});
  EXPECT_EQ(view.totals.usage.allocated, (Amount{103'614'400, 1'234'600}));
  EXPECT_EQ(view.totals.usage.freed, (Amount{90'567'920, 1'109'200}));
  EXPECT_EQ(view.totals.usage.outstanding(), (Amount{13'046'480, 125'400}));
}

TEST(ReportTable, WithoutAReportBeforeRatesAreAveragesSinceTheAttach) {
  const ReportView view = report_view(leaking(), nullptr, {});
  EXPECT_FALSE(view.has_previous);
  EXPECT_FALSE(view.totals.change);
  EXPECT_FALSE(view.threads.rows[0].figures.change);
  EXPECT_DOUBLE_EQ(view.totals.allocation.bytes_per_s, 103'614'400 / 4.0);
  EXPECT_DOUBLE_EQ(view.threads.rows[0].figures.release.blocks_per_s, 1'100'000 / 4.0);
}

TEST(ReportTable, ChangesAndRatesReferToTheReportBefore) {
  const Snapshot now = leaking();
  const Snapshot before = leaking_before();
  const ReportView view = report_view(now, &before, {});
  EXPECT_EQ(view.totals.change, (Change{6'342'240, 62'498}));
  EXPECT_EQ(view.threads.rows[0].figures.change, (Change{6'344'640, 62'500}));
  EXPECT_EQ(view.threads.rows[1].figures.change, (Change{-2'400, -2}));
  EXPECT_EQ(view.threads.rows[2].figures.change, (Change{0, 0}));
  EXPECT_DOUBLE_EQ(view.threads.rows[0].figures.allocation.bytes_per_s, 25'000'000.0);
  EXPECT_DOUBLE_EQ(view.threads.rows[1].figures.release.bytes_per_s, 103'600.0);
  EXPECT_EQ(view.stacks.rows[0].figures.change, (Change{6'344'640, 62'500}));
}

TEST(ReportTable, AReportOfAnotherProcessOrALaterMomentIsNotComparedWith) {
  const Snapshot now = leaking();
  Snapshot other = leaking_before();
  other.process.pid = Tgid{1};
  EXPECT_FALSE(report_view(now, &other, {}).has_previous);
  Snapshot later = leaking_before();
  later.elapsed = now.elapsed + std::chrono::nanoseconds(1);
  EXPECT_FALSE(report_view(now, &later, {}).has_previous);
}

TEST(ReportTable, ThreadsAndStacksAreFoundAgainUnderNewIndices) {
  const Snapshot now = leaking();
  Snapshot before = leaking_before();
  std::swap(before.threads[0], before.threads[2]);
  std::swap(before.stacks[0], before.stacks[1]);
  for (Site& site : before.sites) {
    site.thread = site.thread == 1 ? 1 : 2 - site.thread;
    site.stack = 1 - site.stack;
  }
  const ReportView view = report_view(now, &before, {});
  EXPECT_EQ(view.threads.rows[0].figures.change, (Change{6'344'640, 62'500}));
  EXPECT_EQ(view.stacks.rows[0].figures.change, (Change{6'344'640, 62'500}));
  EXPECT_EQ(view.stacks.rows[1].figures.change, (Change{-2'400, -2}));
  EXPECT_EQ(view.sites.rows[0].figures.change, (Change{6'344'640, 62'500}));
}

TEST(ReportTable, AThreadIdUsedAgainIsAnotherThread) {
  Snapshot before;
  before.process.pid = Tgid{5};
  before.stacks = {samples::leak_stack()};
  before.threads = {{Tid{6}, "first", false, {100, 1}, {}, {}}};
  before.sites = {{0, 0, {100, 1}, {}, {}}};
  Snapshot now = before;
  now.elapsed = std::chrono::seconds(1);
  now.threads.push_back({Tid{6}, "second", true, {40, 2}, {}, {}});
  now.sites.push_back({1, 0, {40, 2}, {}, {}});
  const ReportView view = report_view(now, &before, {});
  ASSERT_EQ(view.threads.rows.size(), 2u);
  EXPECT_EQ(view.threads.rows[0].figures.change, (Change{0, 0}));
  EXPECT_EQ(view.threads.rows[1].figures.change, (Change{40, 2}));
}

TEST(ReportTable, SitesOfSeveralThreadsAreMergedByStack) {
  const ReportView view = report_view(leaking(), nullptr, {});
  ASSERT_EQ(stacks(view), (std::vector<uint32_t>{0, 1}));
  const StackRow& leak = view.stacks.rows[0];
  EXPECT_EQ(leak.figures.usage.outstanding(), (Amount{12'739'280, 125'100}));
  EXPECT_EQ(leak.holders, 2u);
  EXPECT_EQ(leak.top_holder, 2u);
  // worker-2 allocates there too, but has freed everything.
  EXPECT_EQ(view.stacks.rows[1].holders, 1u);
  EXPECT_EQ(view.stacks.rows[1].top_holder, 0u);
}

TEST(ReportTable, EqualStacksUnderTwoIndicesAreOneRow) {
  Snapshot now = leaking();
  now.stacks.push_back(samples::leak_stack());
  now.sites[1].stack = 2;
  const ReportView view = report_view(now, nullptr, {});
  EXPECT_EQ(stacks(view), (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(view.stacks.rows[0].holders, 2u);
}

TEST(ReportTable, StacksThatLookTheSameAreOneRowUnlessAllFramesAreShown) {
  Snapshot now = leaking();
  const Stack leak = samples::leak_stack();
  const std::vector<Frame> frames(leak.frames.begin(), leak.frames.end());
  Frame inside = frames.back();
  inside.function = "std::vector<int>::_M_grow(unsigned long)";
  inside.file = "/usr/include/c++/12/bits/vector.tcc";
  Frame call = inside;
  call.function = "std::vector<int>::push_back(int)";
  for (const uint64_t address : {0x10, 0x20}) {
    std::vector<Frame> deeper = {inside, call};
    deeper[0].address = Addr{address};
    deeper.insert(deeper.end(), frames.begin(), frames.end());
    now.stacks.push_back({.frames = deeper, .status = AT_STACK_complete});
  }
  now.sites = {{0, 2, {8, 1}, {}, {}}, {0, 3, {8, 1}, {}, {}}};
  EXPECT_EQ(report_view(now, nullptr, {}).stacks.rows.size(), 1u);
  EXPECT_EQ(report_view(now, nullptr, {.top = {}, .only_tid = {}, .frames = FrameChoice::All}).stacks.rows.size(), 2u);
  EXPECT_EQ(report_view(now, nullptr, {}).sites.rows.size(), 2u);
}

TEST(ReportTable, StacksThatHoldNothingAreNotRows) {
  Snapshot now = leaking();
  now.sites[0].freed = now.sites[0].allocated;
  EXPECT_EQ(stacks(report_view(now, nullptr, {})), (std::vector<uint32_t>{0}));
  EXPECT_EQ(report_view(now, nullptr, {}).sites.rows.size(), 4u);
}

TEST(ReportTable, EqualRowsKeepTheOrderOfTheirIds) {
  Snapshot now;
  now.stacks = {samples::cache_stack(), samples::leak_stack()};
  for (const uint32_t tid : {30u, 10u, 20u}) now.threads.push_back({Tid{tid}, "t", true, {8, 1}, {}, {}});
  now.threads.push_back({Tid{40}, "t", true, {8, 2}, {}, {}});
  now.sites = {{0, 1, {8, 1}, {}, {}}, {1, 0, {8, 1}, {}, {}}, {2, 1, {8, 1}, {}, {}}, {3, 0, {8, 1}, {}, {}}};
  const ReportView view = report_view(now, nullptr, {});
  EXPECT_EQ(tids(now, view), (std::vector<uint32_t>{40, 10, 20, 30}));
  EXPECT_EQ(stacks(view), (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(view.stacks.rows[0].top_holder, 1u);
  EXPECT_EQ(view.stacks.rows[1].top_holder, 2u);
}

TEST(ReportTable, RowsBeyondTheTopAreSummedUp) {
  const ReportView view = report_view(leaking(), nullptr, {1, std::nullopt, FrameChoice::Callers});
  EXPECT_EQ(view.threads.rows.size(), 1u);
  EXPECT_EQ(view.threads.left_out_rows, 2u);
  EXPECT_EQ(view.threads.left_out, (Amount{357'200, 400}));
  EXPECT_EQ(view.stacks.left_out_rows, 1u);
  EXPECT_EQ(view.stacks.left_out, (Amount{307'200, 300}));
  EXPECT_EQ(view.sites.left_out_rows, 3u);
}

TEST(ReportTable, OneThreadsRowsAreOnlyItsOwn) {
  const Snapshot now = leaking();
  const Snapshot before = leaking_before();
  const ReportView view = report_view(now, &before, {std::nullopt, Tid{4243}, FrameChoice::Callers});
  EXPECT_EQ(tids(now, view), (std::vector<uint32_t>{4243}));
  ASSERT_EQ(stacks(view), (std::vector<uint32_t>{0}));
  EXPECT_EQ(view.stacks.rows[0].figures.usage.outstanding(), (Amount{50'000, 100}));
  EXPECT_EQ(view.stacks.rows[0].figures.change, (Change{0, 0}));
  EXPECT_EQ(view.sites.rows.size(), 1u);
}

TEST(ReportTable, WithAnAgeTheOlderAmountsRank) {
  Snapshot now = leaking();
  now.older_than = std::chrono::seconds(60);
  now.threads[0].older = now.sites[0].older = {1'024, 1};
  now.threads[1].older = now.sites[1].older = {3'072, 3};
  const ReportView view = report_view(now, nullptr, {});
  EXPECT_EQ(view.ranking, Ranking::Older);
  EXPECT_EQ(tids(now, view), (std::vector<uint32_t>{4243, 4242, 4244}));
  EXPECT_EQ(stacks(view), (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(view.stacks.rows[0].top_holder, 1u);
  EXPECT_EQ(view.stacks.rows[0].holders, 1u);
  EXPECT_DOUBLE_EQ(view.threads.rows[0].figures.share, 0.75);
  EXPECT_EQ(view.threads.rows[0].figures.usage.outstanding(), (Amount{50'000, 100}));
}

TEST(ReportTable, AnIdleProcessHasNoRowsAndNoRates) {
  const ReportView view = report_view(samples::idle(), nullptr, {});
  EXPECT_TRUE(view.threads.rows.empty());
  EXPECT_TRUE(view.stacks.rows.empty());
  EXPECT_EQ(view.totals.allocation.bytes_per_s, 0);
  EXPECT_EQ(view.totals.share, 0);
}

TEST(ReportTable, AMomentOfNoLengthHasNoRates) {
  Snapshot now = leaking();
  now.elapsed = {};
  EXPECT_EQ(report_view(now, nullptr, {}).totals.allocation.bytes_per_s, 0);
}

TEST(AllocatorFrames, TheInnerEndIsHiddenUpToTheProgramsCode) {
  EXPECT_EQ(allocator_frame_count(samples::leak_stack()), 2u);
  EXPECT_EQ(report_view(leaking(), nullptr, {}).stacks.rows[0].first_frame, 2u);
  const ReportQuery all{std::nullopt, std::nullopt, FrameChoice::All};
  EXPECT_EQ(report_view(leaking(), nullptr, all).stacks.rows[0].first_frame, 0u);
}

TEST(AllocatorFrames, AStackOfNothingElseIsShownWhole) {
  const Stack stack = samples::leak_stack();
  EXPECT_EQ(allocator_frame_count({{stack.frames[0], stack.frames[1]}, AT_STACK_fault}), 0u);
  EXPECT_EQ(allocator_frame_count({{stack.frames[0], stack.frames[2]}, AT_STACK_fault}), 1u);
  EXPECT_EQ(allocator_frame_count(Stack{}), 0u);
}

TEST(AllocatorFrames, OnlyAllocatorsAreRecognised) {
  for (const char* name :
       {"malloc", "__libc_calloc", "realloc", "posix_memalign", "operator new(unsigned long)",
        "operator new[](unsigned long, std::nothrow_t const&)", "je_malloc_default", "tc_newarray", "mi_malloc",
        "std::allocator_traits<std::allocator<int> >::allocate(std::allocator<int>&, unsigned long)",
        "__gnu_cxx::new_allocator<char>::allocate(unsigned long, void const*)"}) {
    EXPECT_TRUE(is_allocator_frame(samples::bare_frame(1, name, "/usr/bin/x", 1))) << name;
  }
  for (const char* name : {"", "main", "zmalloc", "malloc_order", "Pool::operator new(unsigned long)", "my_malloc",
                           "xmalloc", "mi_compute", "strdup", "std::vector<int>::push_back(int const&)"}) {
    EXPECT_FALSE(is_allocator_frame(samples::bare_frame(1, name, "/usr/bin/x", 1))) << name;
  }
  EXPECT_TRUE(is_allocator_frame(samples::bare_frame(1, "", "/usr/lib/libjemalloc.so.2", 1)));
  EXPECT_FALSE(is_allocator_frame(samples::bare_frame(1, "", "/opt/libjemalloc/bin/server", 1)));
}

}  // namespace
}  // namespace alloctrail
