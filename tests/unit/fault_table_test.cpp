// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/fault_table.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/sample_snapshots.h"
#include "user/analysis/report_table.h"
#include "user/output/report_json.h"
#include "user/output/report_text.h"

namespace alloctrail {
namespace {

constexpr uint64_t kPage = 4096;

/// Two threads, of which one touches from two stacks, one of them in two kinds of range.
Snapshot growing(uint32_t interval) {
  Snapshot s = samples::idle();
  s.heap_traced = false;
  s.elapsed = std::chrono::seconds(10);
  s.process.memory.threads = 2;
  s.threads = {{Tid{10}, "main", true, {}, {}, {}}, {Tid{11}, "worker", true, {}, {}, {}}};
  s.stacks = {samples::leak_stack(), samples::cache_stack()};
  Faults& faults = s.faults.emplace();
  faults.interval = interval;
  faults.sites = {{0, 0, ResidentKind::OtherAnonymous, 10, kPage},
                  {1, 0, ResidentKind::OtherAnonymous, 30, kPage},
                  {1, 0, ResidentKind::BrkHeap, 5, kPage},
                  {1, 1, ResidentKind::OtherAnonymous, 2, 512 * kPage}};
  faults.counters.sampled = 47;
  faults.counted = 47 * interval;
  return s;
}

TEST(FaultTable, RowsAreRankedByBytesAndAddUp) {
  const FaultView view = fault_view(growing(1), nullptr, {});
  EXPECT_EQ(view.totals.touched, (Touched{47, 45 * kPage + 1024 * kPage}));
  ASSERT_EQ(view.kinds.size(), 2u);
  EXPECT_EQ(view.kinds[0].kind, ResidentKind::OtherAnonymous);
  EXPECT_EQ(view.kinds[1].figures.touched, (Touched{5, 5 * kPage}));
  ASSERT_EQ(view.threads.rows.size(), 2u);
  EXPECT_EQ(view.threads.rows[0].thread, 1u);
  EXPECT_EQ(view.threads.rows[0].figures.touched, (Touched{37, 35 * kPage + 1024 * kPage}));
  ASSERT_EQ(view.stacks.rows.size(), 3u);
  EXPECT_EQ(view.stacks.rows[0].stack, 1u);  // two huge pages
  EXPECT_EQ(view.stacks.rows[1].holders, 2u);
  EXPECT_EQ(view.stacks.rows[1].top_holder, 1u);
  EXPECT_EQ(view.stacks.rows[1].figures.touched, (Touched{40, 40 * kPage}));
  EXPECT_EQ(view.stacks.rows[2].kind, ResidentKind::BrkHeap);
  EXPECT_EQ(view.sites.rows.size(), 4u);
  EXPECT_FALSE(view.totals.change_bytes);
  EXPECT_DOUBLE_EQ(view.totals.bytes_per_s, 1069 * kPage / 10.0);
}

TEST(FaultTable, EachSampleStandsForItsInterval) {
  const FaultView view = fault_view(growing(31), nullptr, {});
  EXPECT_EQ(view.totals.touched.faults, 47u * 31);
  EXPECT_EQ(view.kinds[1].figures.touched, (Touched{5 * 31, 5 * 31 * kPage}));
}

TEST(FaultTable, ChangesAndRatesReferToTheReportBefore) {
  Snapshot before = growing(1);
  before.elapsed = std::chrono::seconds(6);
  std::swap(before.stacks[0], before.stacks[1]);  // indices differ between snapshots
  before.faults->sites = {{1, 1, ResidentKind::OtherAnonymous, 20, kPage}};
  const FaultView view = fault_view(growing(1), &before, {});
  EXPECT_EQ(view.stacks.rows[1].figures.change_bytes, 20 * static_cast<int64_t>(kPage));
  EXPECT_DOUBLE_EQ(view.stacks.rows[1].figures.bytes_per_s, 5 * kPage);
  EXPECT_EQ(view.threads.rows[0].figures.change_bytes, 1039 * static_cast<int64_t>(kPage));
  EXPECT_EQ(view.threads.rows[1].figures.change_bytes, 10 * static_cast<int64_t>(kPage));
}

TEST(FaultTable, RowsBeyondTheTopAreSummedUp) {
  const FaultView view = fault_view(growing(1), nullptr, {.top = 1, .only_tid = {}, .frames = FrameChoice::Callers});
  ASSERT_EQ(view.stacks.rows.size(), 1u);
  EXPECT_EQ(view.stacks.left_out_rows, 2u);
  EXPECT_EQ(view.stacks.left_out, (Touched{45, 45 * kPage}));
}

TEST(FaultTable, OneThreadAloneKeepsTheProcessTotals) {
  const FaultView view = fault_view(growing(1), nullptr, {.top = {}, .only_tid = Tid{10}, .frames = FrameChoice::All});
  EXPECT_EQ(view.threads.rows.size(), 1u);
  EXPECT_EQ(view.sites.rows.size(), 1u);
  EXPECT_EQ(view.totals.touched.faults, 47u);
}

TEST(FaultAccounting, EveryFaultIsTakenOrMissed) {
  Snapshot s = growing(1);
  EXPECT_EQ(fault_view(s, nullptr, {}).accounting.missed, 0u);
  s.faults->counted += 3;
  s.faults->counters.sampled += 2;
  s.faults->counters.lost_state = 1;
  s.faults->counters.lost_site_full = 1;
  const FaultAccounting account = fault_view(s, nullptr, {}).accounting;
  EXPECT_EQ(account.missed, 1u);
  EXPECT_EQ(account.unsampled, 0u);
  EXPECT_EQ(account.lost, 2u);
  EXPECT_EQ(account.counted, account.sampled + account.unsampled + account.missed);
  EXPECT_EQ(account.sampled, account.in_sites + account.lost);
}

TEST(FaultAccounting, WhatThreadsHaveFaultedSinceTheirLastSampleIsNotMissed) {
  Snapshot s = growing(10);
  s.faults->counted = 470 + 36;  // four threads at most, nine each
  FaultAccounting account = fault_view(s, nullptr, {}).accounting;
  EXPECT_EQ(account.missed, 0u);
  EXPECT_EQ(account.unsampled, 470u + 36 - 47);
  s.faults->counted += 25;
  account = fault_view(s, nullptr, {}).accounting;
  EXPECT_EQ(account.missed, 2u);
  EXPECT_EQ(account.counted, account.sampled + account.unsampled + account.missed);
}

TEST(FaultReport, GrowthReportSaysNothingOfBlocks) {
  const Snapshot s = growing(31);
  const ReportView view = report_view(s, nullptr, {});
  const std::string text = report_text(s, view, {});
  EXPECT_NE(text.find("MEMORY TOUCHED since the attach"), std::string::npos) << text;
  EXPECT_NE(text.find("worker (11) and 1 more  other anonymous maps"), std::string::npos) << text;
  EXPECT_NE(text.find("counted 1,457 page faults = taken 47 + between samples 1,410 + missed 0"), std::string::npos)
      << text;
  EXPECT_EQ(text.find("outstanding"), std::string::npos) << text;
  EXPECT_EQ(text.find("LOST"), std::string::npos) << text;
}

TEST(FaultReport, LossesAreNamed) {
  Snapshot s = growing(1);
  s.faults->counters.lost_site_full = 7;
  s.faults->counted += 5;
  s.faults->uncertain_threads = 2;
  const std::string text = report_text(s, report_view(s, nullptr, {}), {});
  EXPECT_NE(text.find("LOST 7 page faults lost because the table of fault sites was full"), std::string::npos) << text;
  EXPECT_NE(text.find("LOST 5 page faults that the kernel did not hand over"), std::string::npos) << text;
  EXPECT_NE(text.find("NOTE 2 threads were started during the attach"), std::string::npos) << text;
}

TEST(FaultReport, JsonCarriesEveryFigure) {
  const Snapshot s = growing(1);
  const auto json = nlohmann::json::parse(report_json(s, report_view(s, nullptr, {})));
  ASSERT_EQ(json["faults"].size(), 4u);
  EXPECT_EQ(json["faults"][0]["touched_bytes"], 1024 * kPage);
  EXPECT_EQ(json["faults"][0]["kind"], "other_anonymous");
  EXPECT_EQ(json["faults"][0]["stack"].size(), 3u);
  EXPECT_EQ(json["faults"][3]["kind"], "heap");
  EXPECT_EQ(json["touched"]["kinds"]["heap"]["faults"], 5);
  EXPECT_EQ(json["touched"]["threads"][0]["name"], "worker");
  EXPECT_EQ(json["fault_accounting"]["counted"], 47);
  EXPECT_TRUE(json["sites"].empty());
}

}  // namespace
}  // namespace alloctrail
