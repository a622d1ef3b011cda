// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/balance.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/sample_snapshots.h"
#include "user/analysis/report_table.h"
#include "user/output/field_guide.h"
#include "user/output/report_json.h"
#include "user/output/report_text.h"
#include "user/target/residence.h"

namespace alloctrail {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kArena = 0x7f0040000000;

ResidentRange range(uint64_t start, uint64_t end, const char* access, uint64_t rss, const char* path = "",
                    uint64_t inode = 0) {
  ResidentRange out;
  out.mapping.start = start;
  out.mapping.end = end;
  out.mapping.readable = access[0] == 'r';
  out.mapping.writable = access[1] == 'w';
  out.mapping.executable = access[2] == 'x';
  out.mapping.shared = access[3] == 's';
  out.mapping.path = path;
  out.mapping.file.inode = inode;
  out.bytes.rss = rss;
  return out;
}

/// As new_heap of glibc maps it.
ResidentRange arena_range(uint64_t start, uint64_t end, const char* access, uint64_t rss) {
  ResidentRange out = range(start, end, access, rss);
  out.no_reserve = true;
  return out;
}

TEST(Residence, EveryKindOfRangeIsToldApart) {
  const std::vector<ResidentRange> ranges = {range(0x400000, 0x401000, "r-xp", 1, "/bin/x", 7),
                                             range(0x500000, 0x600000, "rw-p", 2, "[heap]"),
                                             arena_range(kArena, kArena + 0x21000, "rw-p", 4),
                                             arena_range(kArena + 0x21000, kArena + 64 * kMiB, "---p", 0),
                                             range(0x7f1000000000, 0x7f1000001000, "---p", 0),
                                             range(0x7f1000001000, 0x7f1000101000, "rw-p", 8),  // a pointer is inside
                                             range(0x7f1000101000, 0x7f1000102000, "---p", 0),
                                             range(0x7f1000102000, 0x7f1000202000, "rw-p", 16),  // of its size
                                             range(0x7f1000202000, 0x7f1000203000, "---p", 0),
                                             range(0x7f1000203000, 0x7f1000213000, "rw-p", 32),  // of another size
                                             range(0x7f2000000000, 0x7f2000001000, "rw-s", 64, "/dev/zero", 5),
                                             range(0x7f2000001000, 0x7f2000002000, "rw-s", 128, "/memfd:ring", 6),
                                             range(0x7f2000003000, 0x7f2000004000, "rw-s", 256, "/data/file", 8),
                                             range(0x7f2000005000, 0x7f2000006000, "rw-p", 512, "[anon:jemalloc_pg]"),
                                             range(0x7f2000006000, 0x7f2000007000, "rw-p", 1024, "[anon:v8]"),
                                             range(0x7ffc00000000, 0x7ffc00001000, "rw-p", 2048, "[stack]"),
                                             range(0x7ffd00000000, 0x7ffd00001000, "r-xp", 4096, "[vdso]")};
  Residence expected;
  expected.file = 1 + 256;
  expected.brk_heap = 2;
  expected.arenas = 4;
  expected.thread_stacks = 8 + 16;
  expected.other_anonymous = 32 + 1024;
  expected.shared = 64 + 128;
  expected.named_allocator = 512;
  expected.main_stack = 2048;
  expected.special = 4096;
  expected.ranges = ranges.size();
  expected.reserved_bytes = 64 * kMiB - 0x21000 + 3 * 4096;
  EXPECT_EQ(residence_of(ranges, {0x7f1000100f00}), expected);
  EXPECT_EQ(residence_of(ranges, {}).sum(), 8191u);
}

TEST(Residence, ArenaThatIsFullIsStillOne) {
  EXPECT_EQ(residence_of({arena_range(kArena, kArena + 64 * kMiB, "rw-p", 9)}, {}).arenas, 9u);
}

TEST(Residence, OwnMapThatLiesLikeAnArenaIsNone) {
  // mmap of 64 MiB without access at a multiple of 64 MiB, then its first mebibyte opened: only the flag tells.
  const std::vector<ResidentRange> opened = {range(kArena, kArena + kMiB, "rw-p", 1),
                                             range(kArena + kMiB, kArena + 64 * kMiB, "---p", 0)};
  EXPECT_EQ(residence_of(opened, {}).arenas, 0u);
  EXPECT_EQ(residence_of(opened, {}).other_anonymous, 1u);
  EXPECT_EQ(residence_of({range(kArena, kArena + 64 * kMiB, "rw-p", 9)}, {}).arenas, 0u);
  // A garbage collector's heap: flagged, but reserved beyond an arena's end, or up to less than that.
  for (const uint64_t end : {128 * kMiB, 32 * kMiB}) {
    const std::vector<ResidentRange> heap = {arena_range(kArena, kArena + kMiB, "rw-p", 1),
                                             arena_range(kArena + kMiB, kArena + end, "---p", 0)};
    EXPECT_EQ(residence_of(heap, {}).arenas, 0u) << end;
  }
}

TEST(Residence, WhereTheKernelKeepsNoFlagThePlaceMustDo) {
  const std::vector<ResidentRange> merged = {range(kArena, kArena + kMiB, "rw-p", 1),
                                             range(kArena + kMiB, kArena + 64 * kMiB + 4096, "---p", 0),
                                             range(kArena + 64 * kMiB + 4096, kArena + 72 * kMiB + 4096, "rw-p", 2)};
  const Residence residence = residence_of(merged, {}, ReserveFlags::Dropped);
  EXPECT_EQ(residence.arenas, 1u);
  EXPECT_EQ(residence.thread_stacks, 2u);
}

TEST(Residence, ThousandGibibytesWithoutAccessAreReservedNotResident) {
  const Residence residence = residence_of({range(0x100000000000, 0x110000000000, "---p", 0)}, {});
  EXPECT_EQ(residence.reserved_bytes, uint64_t{1} << 40);
  EXPECT_EQ(residence.sum(), 0u);
}

TEST(StackPointer, IsTheLastButOneFieldOfSyscall) {
  EXPECT_EQ(parse_stack_pointer("7 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffdec0 0x7f00\n"), 0x7ffdec0u);
  EXPECT_EQ(parse_stack_pointer("-1 0x7ffd10 0x7f00\n"), 0x7ffd10u);
  EXPECT_FALSE(parse_stack_pointer("running\n"));
  EXPECT_FALSE(parse_stack_pointer("7 0x1"));
  EXPECT_FALSE(parse_stack_pointer(""));
}

Snapshot with_residence(uint64_t outstanding) {
  Snapshot s = samples::idle();
  s.threads = {{Tid{1}, "x", true, {outstanding, 1}, {}, {}}};
  s.stacks = {samples::cache_stack()};
  s.sites = {{0, 0, {outstanding, 1}, {}, {}}};
  Residence at;
  at.brk_heap = 600;
  at.arenas = 100;
  at.other_anonymous = 200;
  at.file = 50;
  at.thread_stacks = 40;
  at.vm_rss_bytes = 1000;
  s.residence = at;
  return s;
}

uint64_t part(const Balance& balance, BalancePart wanted) {
  for (const BalanceLine& line : balance.lines)
    if (line.part == wanted) return line.bytes;
  return UINT64_MAX;
}

TEST(Balance, PartsAndTheUnexplainedRestAddUpToTheResidentMemory) {
  for (const uint64_t outstanding : {0u, 300u, 700u, 800u, 5000u}) {
    const auto found = balance(with_residence(outstanding));
    ASSERT_TRUE(found);
    uint64_t sum = 0;
    for (const BalanceLine& line : found->lines) sum += line.bytes;
    EXPECT_EQ(sum, 990u) << outstanding;
    EXPECT_EQ(found->unexplained_bytes, 10);
    EXPECT_DOUBLE_EQ(found->explained_share, 0.99);
  }
}

TEST(Balance, BlocksFillTheAllocatorsMemoryThenAnonymousMaps) {
  const auto few = balance(with_residence(300));
  EXPECT_EQ(part(*few, BalancePart::LiveBlocks), 300u);
  EXPECT_EQ(part(*few, BalancePart::AllocatorOther), 400u);
  EXPECT_EQ(part(*few, BalancePart::OtherAnonymous), 200u);
  const auto large = balance(with_residence(800));
  EXPECT_EQ(part(*large, BalancePart::LiveBlocks), 800u);
  EXPECT_EQ(part(*large, BalancePart::AllocatorOther), 0u);
  EXPECT_EQ(part(*large, BalancePart::OtherAnonymous), 100u);
  const auto untouched = balance(with_residence(5000));  // more than there is resident
  EXPECT_EQ(part(*untouched, BalancePart::LiveBlocks), 900u);
  EXPECT_EQ(part(*untouched, BalancePart::OtherAnonymous), 0u);
}

TEST(Balance, RangesReadAfterTheFigureLeaveANegativeRest) {
  Snapshot s = with_residence(0);
  s.residence->vm_rss_bytes = 900;
  const auto found = balance(s);
  EXPECT_EQ(found->unexplained_bytes, -90);
  EXPECT_DOUBLE_EQ(found->explained_share, 0.9);
}

TEST(Balance, ThereIsNoneWithoutResidence) {
  EXPECT_FALSE(balance(samples::leaking()));
  Snapshot empty = samples::idle();
  empty.residence = Residence{};
  EXPECT_EQ(balance(empty)->explained_share, 1);
}

TEST(Balance, StandsInTextAndJsonWithEstimatesMarked) {
  Snapshot s = with_residence(300);
  s.bounds = MemoryBounds{};
  const ReportView view = report_view(s, nullptr, {});
  const std::string text = report_text(s, view, {});
  for (const char* words : {"RESIDENT MEMORY, 1000 B", "~300 B", "~400 B", "other anonymous maps", "unexplained"})
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  EXPECT_EQ(text.find("~200 B"), std::string::npos);
  const auto json = nlohmann::json::parse(report_json(s, view));
  EXPECT_EQ(json["balance"]["parts"]["live_blocks"],
            (nlohmann::json{{"bytes", 300}, {"share", 0.3}, {"estimated", true}}));
  EXPECT_EQ(json["balance"]["unexplained_bytes"], 10);
  EXPECT_EQ(json["host"]["cgroups"], nlohmann::json::array());
}

TEST(FieldGuide, EveryPartOfTheBalanceAndEveryStatusFigureIsExplained) {
  const auto found = balance(with_residence(1));
  for (const BalanceLine& line : found->lines) EXPECT_NE(find_field(name_of(line.part)), nullptr) << name_of(line.part);
  for (const char* name :
       {"VmPeak", "VmSize", "VmLck", "VmPin", "VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem", "VmData", "VmStk",
        "VmExe", "VmLib", "VmPTE", "VmSwap", "HugetlbPages", "Threads", "vmdata", "UNEXPLAINED"})
    EXPECT_NE(find_field(name), nullptr) << name;
  EXPECT_EQ(find_field("VmDat"), nullptr);
  EXPECT_EQ(find_field(""), nullptr);
}

}  // namespace
}  // namespace alloctrail
