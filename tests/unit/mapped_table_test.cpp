// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/mapped_table.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/sample_snapshots.h"
#include "user/analysis/report_table.h"
#include "user/output/mapped_text.h"
#include "user/output/report_json.h"

namespace alloctrail {
namespace {

constexpr uint64_t kMiB = 1 << 20;

Stack mmap_stack(std::string caller) {
  return {{samples::bare_frame(0x7f00000f8000, "mmap64", samples::kLibc, 0xf8000),
           samples::frame(0x401320, std::move(caller), "/src/orders/pool.cpp", 88)},
          AT_STACK_complete};
}

/// worker-2 has mapped a pool and, through malloc, a large block; the libraries and the heap were there before.
Snapshot mapping() {
  Snapshot s = samples::idle();
  s.stacks = {mmap_stack("Pool::grow()"), mmap_stack("sysmalloc")};  // the latter as a preloaded allocator would be
  Mapped& mapped = s.mapped.emplace();
  const auto row = [&](RangeKind kind, RangeOrigin origin, uint32_t tid, std::optional<uint32_t> stack,
                       std::string path, MappedAmount standing) {
    mapped.rows.push_back({kind, origin, Tid{tid}, tid == 0 ? "" : "worker-2", stack, std::move(path), standing});
    mapped.standing += standing;
  };
  row(RangeKind::File, RangeOrigin::BeforeAttach, 0, {}, samples::kLibc, {2 * kMiB, 4096, 5});
  row(RangeKind::Allocator, RangeOrigin::BeforeAttach, 0, {}, "[heap]", {kMiB, 0, 1});
  row(RangeKind::Anonymous, RangeOrigin::Call, 4244, 0, "", {64 * kMiB, 0, 2});
  row(RangeKind::Anonymous, RangeOrigin::Call, 4244, 1, "", {3 * kMiB, 0, 1});
  row(RangeKind::Reserved, RangeOrigin::Call, 4245, 0, "", {1024 * kMiB, 1024 * kMiB, 1});
  mapped.mapped_bytes = 1100 * kMiB;
  mapped.unmapped_bytes = 9 * kMiB;
  mapped.given_back_bytes = kMiB;
  mapped.check.done = true;
  mapped.calls = {.recorded = 15, .failed = 2, .without_effect = 3, .lost = 0, .address_space = 0};
  return s;
}

std::string text_of(const Snapshot& snapshot) {
  const ReportView view = report_view(snapshot, nullptr, {});
  return mapped_text(snapshot, view, {});
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(MappedTable, KindsAddUpAndWhatIsNewIsToldApart) {
  const auto view = mapped_view(mapping(), {});
  ASSERT_TRUE(view);
  EXPECT_EQ(view->all, (MappedAmount{1094 * kMiB, 1024 * kMiB + 4096, 10}));
  EXPECT_EQ(view->since, (MappedAmount{1091 * kMiB, 1024 * kMiB, 4}));
  EXPECT_TRUE(view->balanced);
  std::vector<RangeKind> kinds;
  for (const MappedKindRow& row : view->kinds) kinds.push_back(row.kind);
  EXPECT_EQ(kinds, (std::vector{RangeKind::Anonymous, RangeKind::Reserved, RangeKind::Allocator, RangeKind::File}));
}

TEST(MappedTable, RowsAreThoseSinceTheAttachBySizeThenTheOthers) {
  const Snapshot snapshot = mapping();
  const auto view = mapped_view(snapshot, {});
  std::vector<size_t> rows;
  for (const MappedRow& row : view->rows) rows.push_back(row.row);
  EXPECT_EQ(rows, (std::vector<size_t>{4, 2, 3, 0, 1}));
}

TEST(MappedTable, MemoryMappedByAnAllocatorIsItsOwnAlsoWithoutProbes) {
  const Snapshot snapshot = mapping();
  EXPECT_EQ(kind_of(snapshot.mapped->rows[3], snapshot), RangeKind::Allocator);
  EXPECT_EQ(kind_of(snapshot.mapped->rows[2], snapshot), RangeKind::Anonymous);
}

TEST(MappedTable, AnAllocatorFartherOutThanTheProgramsOwnCodeMapsNothing) {
  Snapshot snapshot = mapping();
  snapshot.stacks[0].frames = {samples::bare_frame(0x7f00000f8000, "mmap64", samples::kLibc, 0xf8000),
                               samples::bare_frame(0x7f00000f9000, "arena_get2", samples::kLibc, 0xf9000),
                               samples::bare_frame(0x7f0000089110, "free", samples::kLibc, 0x89110)};
  EXPECT_EQ(kind_of(snapshot.mapped->rows[2], snapshot), RangeKind::Allocator);
  snapshot.stacks[0].frames = {samples::bare_frame(0x7f00000f8000, "mmap64", samples::kLibc, 0xf8000),
                               samples::frame(0x401320, "Pool::grow()", "/src/orders/pool.cpp", 88),
                               samples::bare_frame(0x7f0000089110, "malloc", samples::kLibc, 0x89110)};
  EXPECT_EQ(kind_of(snapshot.mapped->rows[2], snapshot), RangeKind::Anonymous);
}

TEST(MappedTable, OneThreadsRowsLeaveTheSumsAlone) {
  const auto view = mapped_view(mapping(), Tid{4245});
  ASSERT_EQ(view->rows.size(), 1u);
  EXPECT_EQ(view->rows[0].row, 4u);
  EXPECT_EQ(view->all.ranges, 10u);
}

TEST(MappedTable, NothingWithoutTracking) { EXPECT_FALSE(mapped_view(samples::idle(), {})); }

TEST(MappedTable, SumThatDoesNotAddUpIsNoticed) {
  Snapshot snapshot = mapping();
  snapshot.mapped->unmapped_bytes += 4096;
  EXPECT_FALSE(mapped_view(snapshot, {})->balanced);
  EXPECT_TRUE(contains(text_of(snapshot), "NOT BALANCED"));
}

TEST(MappedText, SaysWhoMappedWhatAndThatItAgreesWithMaps) {
  const std::string text = text_of(mapping());
  EXPECT_TRUE(contains(text, "MAPPED ADDRESS SPACE, 1.068 GiB in 10 ranges; 1.000 GiB of it without access: no memory"))
      << text;
  EXPECT_TRUE(contains(text, "2.  64 MiB in 2 ranges  anonymous  worker-2 (4244)")) << text;
  EXPECT_TRUE(contains(text, "Pool::grow")) << text;
  EXPECT_TRUE(contains(text, "equal to /proc/PID/maps\n")) << text;
  EXPECT_TRUE(contains(text, "system calls 20 = recorded 15 + without effect 3 + failed 2 + lost 0")) << text;
}

TEST(MappedText, DifferencesAndLossesAreNotHidden) {
  Snapshot snapshot = mapping();
  snapshot.mapped->check.missing_bytes = 8192;
  snapshot.mapped->calls.lost = 7;
  const std::string text = text_of(snapshot);
  EXPECT_TRUE(contains(text, "DIFFERS from /proc/PID/maps and was put right: 8 KiB were mapped and unknown")) << text;
  EXPECT_TRUE(contains(text, "LOST 7 records of system calls")) << text;
}

TEST(MappedText, ResidentBytesAreMarkedWhereTheyAreEstimated) {
  Snapshot snapshot = mapping();
  snapshot.mapped->rows[2].resident_bytes = 5 * kMiB;
  EXPECT_TRUE(contains(text_of(snapshot), "anonymous  5 MiB resident  worker-2")) << text_of(snapshot);
  snapshot.mapped->rows[2].resident_estimated = true;
  EXPECT_TRUE(contains(text_of(snapshot), "anonymous  ~5 MiB resident  worker-2"));
  EXPECT_EQ(mapped_view(snapshot, {})->kinds[0].resident_since_bytes, 5 * kMiB);
}

TEST(MappedText, ProcessThatCannotBeLookedAtIsNotCompared) {
  Snapshot snapshot = mapping();
  snapshot.mapped->check.done = false;
  EXPECT_TRUE(contains(text_of(snapshot), "not compared with /proc/PID/maps, which could not be read"));
}

TEST(MappedJson, CarriesRowsSumsAndTheComparison) {
  const Snapshot snapshot = mapping();
  const auto json = nlohmann::json::parse(report_json(snapshot, report_view(snapshot, nullptr, {})));
  ASSERT_EQ(json.at("mappings").size(), 5u);
  const auto& first = json.at("mappings")[1];
  EXPECT_EQ(first.at("kind"), "anonymous");
  EXPECT_EQ(first.at("origin"), "call");
  EXPECT_EQ(first.at("tid"), 4244);
  EXPECT_EQ(first.at("bytes"), 64 * kMiB);
  EXPECT_EQ(first.at("stack")[1].at("function"), "Pool::grow()");
  EXPECT_TRUE(json.at("mappings")[4].at("tid").is_null());
  const auto& mapped = json.at("mapped");
  EXPECT_EQ(mapped.at("kinds").at("allocator").at("since_attach").at("bytes"), 3 * kMiB);
  EXPECT_EQ(mapped.at("calls").at("recorded"), 15);
  EXPECT_TRUE(mapped.at("maps").at("compared").get<bool>());
}

}  // namespace
}  // namespace alloctrail
