// SPDX-License-Identifier: Apache-2.0
// The interval map: every call, every order of overlapping calls, and /proc/PID/maps.
#include "user/target/mapped_ranges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>

namespace alloctrail {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kBase = 0x7f0000000000;

/// Pages from kBase on: the tests speak of page numbers.
struct Pages {
  uint64_t first = 0;
  uint64_t count = 0;
  [[nodiscard]] uint64_t start() const { return kBase + first * kPage; }
  [[nodiscard]] uint64_t bytes() const { return count * kPage; }
};

Mapping line(Pages pages, std::string path = "", bool accessible = true) {
  Mapping m;
  m.start = pages.start();
  m.end = pages.start() + pages.bytes();
  m.path = std::move(path);
  m.readable = m.writable = accessible;
  if (!m.path.empty() && m.path[0] == '/') m.file = {1, 2};
  return m;
}

/// A process whose calls are told to the map as the kernel half would, when they end.
class Calls {
 public:
  void map(Pages pages, uint32_t thread = 1, uint16_t flags = AT_RANGE_ANONYMOUS) {
    at_range_record r = record(AT_RANGE_MAP, pages, thread);
    r.flags = flags;
    ranges.apply(r);
  }
  void unmap(Pages pages) { ranges.apply(record(AT_RANGE_UNMAP, pages, 0)); }
  void remap(Pages from, Pages to, uint32_t thread = 1, uint16_t flags = 0) {
    at_range_record r = record(AT_RANGE_REMAP, to, thread);
    r.old_start = from.start();
    r.old_bytes = from.bytes();
    r.flags = flags;
    ranges.apply(r);
  }
  void move_break(uint64_t to, uint32_t thread = 1) {
    at_range_record r = record(AT_RANGE_BREAK, {}, thread);
    r.old_start = kBase + 100;
    r.start = kBase + to;
    r.flags = AT_RANGE_ANONYMOUS;
    ranges.apply(r);
  }
  void protect(Pages pages, bool access) {
    at_range_record r = record(AT_RANGE_PROTECT, pages, 0);
    r.flags = access ? 0 : AT_RANGE_NO_ACCESS;
    ranges.apply(r);
  }
  void advise(Pages pages) { ranges.apply(record(AT_RANGE_ADVISE, pages, 0)); }
  void attach_segment(Pages pages) {
    at_range_record r = record(AT_RANGE_MAP, pages, 1);
    r.bytes = 0;
    r.flags = AT_RANGE_SHARED | AT_RANGE_SEGMENT;
    ranges.apply(r);
  }
  void detach_segment(Pages pages) { ranges.apply(record(AT_RANGE_DETACH, {pages.first, 0}, 0)); }
  void start_thread_at(uint64_t address) {
    at_range_record r = record(AT_RANGE_STACK, {}, 0);
    r.start = address;
    ranges.apply(r);
  }
  void something_else() { ranges.apply(record(AT_RANGE_DOUBT, {}, 0)); }

  /// Reads "/proc/PID/maps": brings the map up to it, as an attach does.
  void load(const std::vector<Mapping>& maps) {
    ranges.repair(ranges.compare(maps), maps, RangeOrigin::BeforeAttach);
    ranges.take_names(maps);
    ranges.grow_old();
  }

  /// "2-4:1 7-8:?": pages and makers; '-' behind it: no access.
  [[nodiscard]] std::string standing() const {
    std::string text;
    for (const auto& [start, range] : ranges.ranges()) {
      if (!text.empty()) text += ' ';
      text += std::to_string((start - kBase) / kPage) + "-" + std::to_string((range.end - kBase) / kPage) + ":";
      text += range.origin == RangeOrigin::Call           ? std::to_string(range.maker.thread)
              : range.origin == RangeOrigin::BeforeAttach ? "old"
                                                          : "found";
      if (range.flags & AT_RANGE_NO_ACCESS) text += '-';
    }
    return text;
  }
  void expect_flows_add_up() const {
    uint64_t standing = 0;
    for (const auto& [start, range] : ranges.ranges())
      if (range.origin == RangeOrigin::Call) standing += range.bytes();
    EXPECT_EQ(ranges.mapped_bytes(), ranges.unmapped_bytes() + standing);
  }

  MappedRanges ranges;

 private:
  static at_range_record record(at_range_kind kind, Pages pages, uint32_t thread) {
    at_range_record r{};
    r.kind = kind;
    r.start = pages.start();
    r.bytes = pages.bytes();
    r.thread = thread;
    r.stack = thread * 10;
    return r;
  }
};

// ---- one call after the other ------------------------------------------------------------------------------------------

TEST(MappedRanges, MappedRangeStandsUnderItsMaker) {
  Calls calls;
  calls.map({2, 3}, 7);
  EXPECT_EQ(calls.standing(), "2-5:7");
  EXPECT_EQ(calls.ranges.ranges().begin()->second.maker, (RangeMaker{7, StackId{70}}));
  calls.expect_flows_add_up();
}

TEST(MappedRanges, NeighboursOfTwoCallsStayTwoRanges) {
  Calls calls;
  calls.map({2, 3}, 1);
  calls.map({5, 3}, 1);
  EXPECT_EQ(calls.standing(), "2-5:1 5-8:1");
}

TEST(MappedRanges, UnmappingTheMiddleLeavesBothEnds) {
  Calls calls;
  calls.map({0, 10}, 1);
  calls.unmap({3, 4});
  EXPECT_EQ(calls.standing(), "0-3:1 7-10:1");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, UnmappingAcrossSeveralRangesAndHolesCutsTheOuterOnes) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.map({6, 2}, 2);
  calls.map({10, 4}, 3);
  calls.unmap({2, 10});
  EXPECT_EQ(calls.standing(), "0-2:1 12-14:3");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, UnmappingNothingChangesNothing) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.unmap({6, 2});
  EXPECT_EQ(calls.standing(), "0-4:1");
  EXPECT_FALSE(calls.ranges.in_doubt());
}

TEST(MappedRanges, FixedMappingTakesThePlaceOfWhatWasThere) {
  Calls calls;
  calls.map({0, 10}, 1);
  calls.map({4, 2}, 2, AT_RANGE_FIXED | AT_RANGE_ANONYMOUS);
  EXPECT_EQ(calls.standing(), "0-4:1 4-6:2 6-10:1");
  EXPECT_EQ(calls.ranges.unmapped_bytes(), 2 * kPage);
  calls.expect_flows_add_up();
}

TEST(MappedRanges, RemapThatGrowsInPlaceGivesTheNewPagesToItsCaller) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.remap({0, 4}, {0, 6}, 2);
  EXPECT_EQ(calls.standing(), "0-4:1 4-6:2");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, RemapThatShrinksInPlaceCutsTheEnd) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.remap({0, 4}, {0, 1}, 2);
  EXPECT_EQ(calls.standing(), "0-1:1");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, RemapThatMovesKeepsTheMakerAndGivesTheRestToItsCaller) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.remap({0, 4}, {20, 6}, 2);
  EXPECT_EQ(calls.standing(), "20-24:1 24-26:2");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, RemapThatMovesAndShrinksDropsTheEnd) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.remap({0, 4}, {20, 2}, 2);
  EXPECT_EQ(calls.standing(), "20-22:1");
  EXPECT_EQ(calls.ranges.unmapped_bytes(), 2 * kPage);
  calls.expect_flows_add_up();
}

TEST(MappedRanges, RemapOfAPartLeavesTheRest) {
  Calls calls;
  calls.map({0, 8}, 1);
  calls.remap({2, 3}, {20, 3}, 2);
  EXPECT_EQ(calls.standing(), "0-2:1 5-8:1 20-23:1");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, RemapToAFixedPlaceReplacesWhatWasThere) {
  Calls calls;
  calls.map({0, 2}, 1);
  calls.map({20, 4}, 3);
  calls.remap({0, 2}, {21, 2}, 2, AT_RANGE_FIXED);
  EXPECT_EQ(calls.standing(), "20-21:3 21-23:1 23-24:3");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, RemapThatKeepsTheOldRangeIsACopyOfItsCaller) {
  Calls calls;
  calls.map({0, 2}, 1);
  calls.remap({0, 2}, {20, 2}, 2, AT_RANGE_KEEPS_OLD);
  EXPECT_EQ(calls.standing(), "0-2:1 20-22:2");
  calls.remap({0, 0}, {30, 2}, 3, AT_RANGE_KEEPS_OLD);  // old size 0: another view of a shared range
  EXPECT_EQ(calls.standing(), "0-2:1 20-22:2 30-32:3");
  EXPECT_FALSE(calls.ranges.in_doubt());
  calls.expect_flows_add_up();
}

TEST(MappedRanges, RemapOfAnUnknownRangeIsInDoubt) {
  Calls calls;
  calls.remap({0, 2}, {20, 2}, 2);
  EXPECT_EQ(calls.standing(), "20-22:2");
  EXPECT_TRUE(calls.ranges.in_doubt());
}

TEST(MappedRanges, BreakThatRisesAndFallsKeepsWholePages) {
  Calls calls;
  calls.move_break(3 * kPage + 1);
  EXPECT_EQ(calls.standing(), "1-4:1");
  calls.move_break(5 * kPage, 2);
  EXPECT_EQ(calls.standing(), "1-4:1 4-5:2");
  calls.move_break(2 * kPage);
  EXPECT_EQ(calls.standing(), "1-2:1");
  calls.move_break(2 * kPage - 7);
  EXPECT_EQ(calls.standing(), "1-2:1");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, HeapThatGrowsByOneMakerIsOneRange) {
  Calls calls;
  for (uint64_t page = 1; page < 100; ++page) calls.move_break((page + 1) * kPage);
  EXPECT_EQ(calls.standing(), "1-100:1");
}

TEST(MappedRanges, ProtectionSplitsAndKeepsTheMaker) {
  Calls calls;
  calls.map({0, 10}, 1, AT_RANGE_ANONYMOUS | AT_RANGE_NO_ACCESS);
  calls.protect({0, 4}, true);
  EXPECT_EQ(calls.standing(), "0-4:1 4-10:1-");
  calls.protect({0, 6}, true);
  EXPECT_EQ(calls.standing(), "0-6:1 6-10:1-");
  calls.protect({0, 10}, false);
  EXPECT_EQ(calls.standing(), "0-10:1-");
}

TEST(MappedRanges, AdviceCountsWhatIsGivenBackAndTheRangeStands) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.advise({2, 10});
  EXPECT_EQ(calls.ranges.given_back_bytes(), 2 * kPage);
  EXPECT_EQ(calls.standing(), "0-4:1");
}

TEST(MappedRanges, SegmentGetsItsSizeFromMapsAndGoesWithItsDetach) {
  Calls calls;
  calls.attach_segment({4, 3});
  EXPECT_TRUE(calls.ranges.in_doubt());
  const std::vector<Mapping> maps = {line({4, 3}, "/SYSV00000000")};
  calls.load(maps);
  EXPECT_FALSE(calls.ranges.in_doubt());
  EXPECT_EQ(calls.standing(), "4-7:1");
  EXPECT_EQ(kind_of(calls.ranges.ranges().begin()->second), RangeKind::Shared);
  calls.detach_segment({4, 3});
  EXPECT_EQ(calls.standing(), "");
  EXPECT_FALSE(calls.ranges.in_doubt());
  calls.expect_flows_add_up();
}

TEST(MappedRanges, SegmentDetachedBeforeItsSizeWasKnownIsForgotten) {
  Calls calls;
  calls.attach_segment({4, 3});
  calls.detach_segment({4, 3});
  calls.load({line({4, 3})});  // mapped by something else by now
  EXPECT_EQ(calls.standing(), "4-7:old");
}

TEST(MappedRanges, UnknownCallsLeaveDoubtUntilMapsAreRead) {
  Calls calls;
  calls.something_else();
  EXPECT_TRUE(calls.ranges.in_doubt());
  calls.load({});
  EXPECT_FALSE(calls.ranges.in_doubt());
  EXPECT_EQ(calls.ranges.doubts(), 1u);
}

// ---- calls of several threads at once ------------------------------------------------------------------------------------

TEST(MappedRanges, RangeMappedWhileItsPredecessorIsBeingUnmappedStands) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.map({0, 4}, 2);  // another thread is given the address at once,
  calls.unmap({0, 4});   // and the end of the unmapping is seen after that
  EXPECT_EQ(calls.standing(), "0-4:2");
  calls.expect_flows_add_up();
  calls.unmap({0, 4});
  EXPECT_EQ(calls.standing(), "");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, PartOfWhatIsBeingUnmappedMayBeMappedAgain) {
  Calls calls;
  calls.map({0, 8}, 1);
  calls.map({2, 2}, 2);
  calls.map({5, 1}, 3);
  calls.unmap({0, 8});
  EXPECT_EQ(calls.standing(), "2-4:2 5-6:3");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, AddressMayChangeHandsSeveralTimesDuringOneUnmapping) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.map({0, 4}, 2);
  calls.unmap({0, 4});  // by 2, or is it the first?
  calls.map({1, 2}, 3);
  calls.unmap({0, 4});
  EXPECT_EQ(calls.standing(), "1-3:3");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, RangeMappedWhileItsPredecessorIsBeingMovedAwayStands) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.map({0, 4}, 2);
  calls.remap({0, 4}, {20, 6}, 3);
  EXPECT_EQ(calls.standing(), "0-4:2 20-24:1 24-26:3");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, RangeJustLookedUpMayGetItsRecordYet) {
  Calls calls;
  const std::vector<Mapping> maps = {line({0, 4})};
  calls.ranges.repair(calls.ranges.compare(maps), maps, RangeOrigin::Found);
  calls.map({0, 4}, 1);  // it was under way as the maps were read
  calls.unmap({0, 4});
  EXPECT_EQ(calls.standing(), "");
}

TEST(MappedRanges, RangeThatNeverLeftIsGoneAfterTwoLooks) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.map({0, 4}, 2);  // the record of the unmapping was lost
  calls.ranges.grow_old();
  calls.ranges.grow_old();
  calls.unmap({0, 4});
  EXPECT_EQ(calls.standing(), "");
}

/// A kernel with random threads: each call takes effect at some moment between its entry and its exit, and is told of at
/// its exit. Whatever the interleaving, the map must be right in the end.
class RandomKernel {
 public:
  explicit RandomKernel(uint32_t seed) : random_(seed) {}

  void step(Calls& calls) {
    const uint32_t thread = pick(kThreads);
    Running& call = running_[thread];
    switch (call.stage++) {
      case 0:
        call.unmaps = pick(2) == 0;
        if (call.unmaps) choose_what_to_unmap(call);
        break;
      case 1: take_effect(call); break;
      default:
        if (!call.pages.count) {
        } else if (call.unmaps) {
          calls.unmap(call.pages);
        } else {
          calls.map(call.pages, thread + 1);
          owned_.push_back(call.pages);
        }
        call = {};
    }
  }
  void finish(Calls& calls) {
    while (std::any_of(running_.begin(), running_.end(), [](const Running& call) { return call.stage != 0; })) {
      step(calls);
    }
  }
  [[nodiscard]] std::vector<Mapping> maps() const {
    std::vector<Mapping> lines;
    for (uint64_t page = 0; page < kPages; ++page)
      if (used_.contains(page)) lines.push_back(line({page, 1}));
    return lines;
  }

 private:
  static constexpr uint32_t kThreads = 8;
  static constexpr uint64_t kPages = 64;
  struct Running {
    int stage = 0;
    bool unmaps = false;
    Pages pages;
  };

  uint32_t pick(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

  /// A program unmaps only what a call of its own has returned, whole or in part, and each page once.
  void choose_what_to_unmap(Running& call) {
    if (owned_.empty()) return;
    const size_t which = pick(static_cast<uint32_t>(owned_.size()));
    const Pages whole = owned_[which];
    owned_.erase(owned_.begin() + static_cast<std::ptrdiff_t>(which));
    call.pages = {whole.first, 1 + pick(static_cast<uint32_t>(whole.count))};
    if (call.pages.count < whole.count)
      owned_.push_back({whole.first + call.pages.count, whole.count - call.pages.count});
  }

  void take_effect(Running& call) {
    if (call.unmaps) {
      for (uint64_t i = 0; i < call.pages.count; ++i) used_.erase(call.pages.first + i);
      return;
    }
    const Pages wanted{pick(kPages), 1 + pick(4)};
    for (uint64_t i = 0; i < wanted.count; ++i)
      if (used_.contains(wanted.first + i) || wanted.first + i >= kPages) return;
    call.pages = wanted;
    for (uint64_t i = 0; i < wanted.count; ++i) used_.insert(wanted.first + i);
  }

  std::mt19937 random_;
  std::array<Running, kThreads> running_{};
  std::vector<Pages> owned_;
  std::set<uint64_t> used_;
};

TEST(MappedRanges, EightThreadsInAnyInterleavingEndAtWhatTheKernelHas) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    RandomKernel kernel(seed);
    Calls calls;
    for (int i = 0; i < 2000; ++i) kernel.step(calls);
    kernel.finish(calls);
    ASSERT_TRUE(calls.ranges.compare(kernel.maps()).none()) << "seed " << seed;
    ASSERT_FALSE(calls.ranges.in_doubt()) << "seed " << seed;
    calls.expect_flows_add_up();
  }
}

// ---- /proc/PID/maps ------------------------------------------------------------------------------------------------------

TEST(MappedRanges, WhatWasThereBeforeIsLabelledSo) {
  Calls calls;
  calls.load({line({0, 2}, "/usr/bin/x"), line({5, 2}), line({8, 1}, "", false)});
  EXPECT_EQ(calls.standing(), "0-2:old 5-7:old 8-9:old-");
  calls.unmap({5, 1});
  EXPECT_EQ(calls.standing(), "0-2:old 6-7:old 8-9:old-");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, EqualMapsDifferInNothingHoweverTheyAreSplit) {
  Calls calls;
  calls.map({0, 2}, 1);
  calls.map({2, 2}, 2);
  calls.map({4, 6}, 3);
  EXPECT_TRUE(calls.ranges.compare(std::vector{line({0, 5}), line({5, 5})}).none());
}

TEST(MappedRanges, EveryDifferenceIsFound) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.map({6, 4}, 1);
  calls.map({20, 2}, 1);
  const RangeDifference found =
      calls.ranges.compare(std::vector{line({2, 6}), line({8, 1}, "", false), line({12, 1}), line({13, 1}, "/f")});
  EXPECT_EQ(found.excess, (std::vector<AddressInterval>{{kBase, kBase + 2 * kPage},
                                                        {kBase + 9 * kPage, kBase + 10 * kPage},
                                                        {kBase + 20 * kPage, kBase + 22 * kPage}}));
  EXPECT_EQ(found.missing, (std::vector<AddressInterval>{{kBase + 4 * kPage, kBase + 6 * kPage},
                                                         {kBase + 12 * kPage, kBase + 14 * kPage}}));
  EXPECT_EQ(found.access, (std::vector<AddressInterval>{{kBase + 8 * kPage, kBase + 9 * kPage}}));
}

TEST(MappedRanges, WhatChangesWhileMapsAreReadIsNoDifference) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.map({10, 4}, 1);
  calls.ranges.forget_touched();
  calls.map({6, 2}, 1);  // before or after the reading came to it
  calls.unmap({0, 2});
  const RangeDifference found = calls.ranges.untouched(calls.ranges.compare(std::vector{line({0, 4}), line({12, 2})}));
  EXPECT_EQ(found.missing, std::vector<AddressInterval>{});
  EXPECT_EQ(found.excess, (std::vector<AddressInterval>{{kBase + 10 * kPage, kBase + 12 * kPage}}));
}

TEST(MappedRanges, RepairMakesThemEqualAndKeepsKnownMakers) {
  Calls calls;
  calls.map({0, 4}, 1);
  calls.map({6, 4}, 2);
  const std::vector<Mapping> maps = {line({2, 6}), line({8, 1}, "", false)};
  calls.ranges.repair(calls.ranges.compare(maps), maps, RangeOrigin::Found);
  EXPECT_TRUE(calls.ranges.compare(maps).none());
  EXPECT_EQ(calls.standing(), "2-4:1 4-6:found 6-8:2 8-9:2-");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, StackThatHasGrownIsNoDifference) {
  Calls calls;
  calls.load({line({10, 2}, "[stack]")});
  const std::vector<Mapping> grown = {line({8, 4}, "[stack]")};
  calls.ranges.adopt_growth(grown);
  EXPECT_TRUE(calls.ranges.compare(grown).none());
  EXPECT_EQ(calls.standing(), "8-12:old");
}

TEST(MappedRanges, OwnRangeThatGrowsDownIsNoDifference) {
  Calls calls;
  calls.map({10, 2}, 3, AT_RANGE_ANONYMOUS | AT_RANGE_GROWS_DOWN);
  const std::vector<Mapping> grown = {line({7, 5})};
  calls.ranges.adopt_growth(grown);
  EXPECT_EQ(calls.standing(), "7-12:3");
  calls.expect_flows_add_up();
}

TEST(MappedRanges, OrdinaryRangeThatIsLargerInMapsIsADifference) {
  Calls calls;
  calls.map({10, 2}, 3);
  const std::vector<Mapping> larger = {line({7, 5})};
  calls.ranges.adopt_growth(larger);
  EXPECT_EQ(total_bytes(calls.ranges.compare(larger).missing), 3 * kPage);
}

TEST(MappedRanges, PageThatUprobesWorkInIsTheKernels) {
  Calls calls;
  const std::vector<Mapping> maps = {line({10, 1}, "[uprobes]")};
  calls.ranges.adopt_growth(maps);
  EXPECT_TRUE(calls.ranges.compare(maps).none());
  EXPECT_EQ(kind_of(calls.ranges.ranges().begin()->second), RangeKind::Special);
}

// ---- kinds -----------------------------------------------------------------------------------------------------------------

RangeKind kind_with(uint16_t flags, RangeOrigin origin = RangeOrigin::Call, std::string path = "") {
  MappedRange range{.start = 0, .end = 1, .origin = origin, .flags = flags};
  if (!path.empty()) range.path = std::make_shared<const std::string>(std::move(path));
  return kind_of(range);
}

TEST(MappedRanges, KindsAreKeptApart) {
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS), RangeKind::Anonymous);
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS | AT_RANGE_NO_ACCESS), RangeKind::Reserved);
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS | AT_RANGE_ALLOCATOR), RangeKind::Allocator);
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS | AT_RANGE_ALLOCATOR | AT_RANGE_NO_ACCESS), RangeKind::Allocator);
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS | AT_RANGE_THREAD_STACK), RangeKind::ThreadStack);
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS | AT_RANGE_SHARED), RangeKind::Shared);
  EXPECT_EQ(kind_with(AT_RANGE_SHARED), RangeKind::File);
  EXPECT_EQ(kind_with(AT_RANGE_SHARED | AT_RANGE_SEGMENT), RangeKind::Shared);
  EXPECT_EQ(kind_with(0, RangeOrigin::Call, "/lib/x.so"), RangeKind::File);
  EXPECT_EQ(kind_with(AT_RANGE_SHARED, RangeOrigin::Call, "/memfd:buffer"), RangeKind::Shared);
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS, RangeOrigin::BeforeAttach, "[heap]"), RangeKind::Allocator);
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS, RangeOrigin::Call, "[heap]"), RangeKind::Anonymous);  // its own sbrk
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS, RangeOrigin::BeforeAttach, "[stack]"), RangeKind::MainStack);
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS, RangeOrigin::BeforeAttach, "[vdso]"), RangeKind::Special);
  EXPECT_EQ(kind_with(AT_RANGE_ANONYMOUS, RangeOrigin::Found, "[anon:jemalloc]"), RangeKind::Anonymous);
}

TEST(MappedRanges, RangeThatAThreadStartsOnIsItsStackWithItsGuard) {
  Calls calls;
  calls.map({0, 10}, 1, AT_RANGE_ANONYMOUS | AT_RANGE_NO_ACCESS);
  calls.protect({1, 9}, true);
  calls.map({10, 2}, 1);
  calls.start_thread_at(kBase + 10 * kPage - 1);
  std::vector<RangeKind> kinds;
  for (const auto& [start, range] : calls.ranges.ranges()) kinds.push_back(kind_of(range));
  EXPECT_EQ(kinds, (std::vector{RangeKind::ThreadStack, RangeKind::ThreadStack, RangeKind::Anonymous}));
}

TEST(MappedRanges, ResidentBytesOfOneMakerAreExactAndOfNeighboursShared) {
  Calls calls;
  calls.map({0, 2}, 1);
  calls.map({2, 6}, 2);
  calls.map({8, 1}, 2, AT_RANGE_ANONYMOUS | AT_RANGE_NO_ACCESS);
  calls.map({20, 4}, 3);
  std::map<uint32_t, std::pair<uint64_t, bool>> resident;
  const std::vector<ResidentPart> parts = {{kBase, kBase + 9 * kPage, 4 * kPage},
                                           {kBase + 20 * kPage, kBase + 24 * kPage, 3 * kPage},
                                           {kBase + 30 * kPage, kBase + 31 * kPage, kPage}};
  const uint64_t elsewhere =
      calls.ranges.share_out(parts, [&](const MappedRange& range, uint64_t bytes, bool estimated) {
        resident[range.maker.thread].first += bytes;
        resident[range.maker.thread].second = estimated;
      });
  EXPECT_EQ(resident[1], std::pair(kPage, true));
  EXPECT_EQ(resident[2], std::pair(3 * kPage, true));
  EXPECT_EQ(resident[3], std::pair(3 * kPage, false));
  EXPECT_EQ(elsewhere, kPage);
}

TEST(MappedRanges, ThousandsOfRangesAreCompared) {
  Calls calls;
  std::vector<Mapping> maps;
  for (uint64_t i = 0; i < 65'000; ++i) {
    calls.map({2 * i, 1}, static_cast<uint32_t>(i % 8));
    maps.push_back(line({2 * i, 1}));
  }
  EXPECT_TRUE(calls.ranges.compare(maps).none());
  maps.erase(maps.begin() + 1234);
  EXPECT_EQ(total_bytes(calls.ranges.compare(maps).excess), kPage);
}

TEST(MappedRanges, TebibyteOfReservedSpaceIsOneRange) {
  Calls calls;
  calls.map({0, 1ull << 28}, 1, AT_RANGE_ANONYMOUS | AT_RANGE_NO_ACCESS);
  calls.protect({5, 1}, true);
  EXPECT_EQ(calls.ranges.mapped_bytes(), 1ull << 40);
  EXPECT_EQ(calls.ranges.ranges().size(), 3u);
}

}  // namespace
}  // namespace alloctrail
