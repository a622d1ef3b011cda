// SPDX-License-Identifier: Apache-2.0
// The kernel half's pairing and accounting, run natively on a simulated machine: the rules of allocation accounting that
// a real allocator takes too long, or never, to provoke.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "tests/support/bpf_host/simulation.h"

namespace alloctrail::bpf_host {
namespace {

struct Sums {
  uint64_t live_bytes = 0, live_blocks = 0, freed_bytes = 0, freed_blocks = 0;
  friend bool operator==(const Sums&, const Sums&) = default;
};

Sums sums() {
  Sums result;
  for (uint32_t i = 1; i < host_site_count(); ++i) {
    const at_site& site = *host_site(i);
    result.live_bytes += site.allocated_bytes - site.freed_bytes;
    result.live_blocks += site.allocated_blocks - site.freed_blocks;
    result.freed_bytes += site.freed_bytes;
    result.freed_blocks += site.freed_blocks;
  }
  return result;
}

uint64_t lost_calls(const at_counters& c) {
  return c.lost_live_full_calls + c.lost_site_full_calls + c.lost_return_calls + c.lost_state_calls + c.lost_fault_calls +
         c.lost_range_calls;
}

class Pairing : public testing::Test {
 protected:
  Pairing() {
    reset();
    host_set_slot(kSlot, kTgid);
  }
  /// Both identities of alloctrail/counters.h, with no call in flight.
  void expect_conserved() {
    const at_counters& c = counters();
    const Sums s = sums();
    EXPECT_EQ(c.seen_calls, s.live_blocks + s.freed_blocks + c.failed_calls + c.filtered_calls + lost_calls(c));
    EXPECT_EQ(c.tracked_calls, s.live_blocks + s.freed_blocks);
    EXPECT_EQ(c.tracked_bytes, s.live_bytes + s.freed_bytes);
    EXPECT_EQ(c.released_calls, s.freed_blocks - c.missed_free_calls + c.free_unknown_calls);
    EXPECT_EQ(live_blocks(), s.live_blocks);
  }
  static at_counters& counters() { return *host_counters(kSlot); }

  SimulatedThread thread{101};
  SimulatedThread other{102};
};

TEST_F(Pairing, BlockIsLiveUntilAnyThreadFreesIt) {
  thread.allocate(100, 0xa000);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 100, .live_blocks = 1}));
  other.release(0xa000);
  EXPECT_EQ(sums(), (Sums{.freed_bytes = 100, .freed_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, AllocationOfAnUntracedProcessIsIgnored) {
  host_set_slot(kSlot, kTgid + 1);
  thread.allocate(100, 0xa000);
  EXPECT_EQ(counters().seen_calls, 0u);
}

TEST_F(Pairing, NullResultIsAFailure) {
  thread.allocate(100, 0);
  EXPECT_EQ(counters().failed_calls, 1u);
  EXPECT_EQ(counters().failed_bytes, 100u);
  EXPECT_EQ(sums(), Sums{});
  expect_conserved();
}

TEST_F(Pairing, FreeOfNullReleasesNothing) {
  thread.release(0);
  EXPECT_EQ(counters().free_null_calls, 1u);
  EXPECT_EQ(counters().released_calls, 0u);
}

TEST_F(Pairing, FreeOfUnknownAddressIsCountedAndChangesNothing) {
  thread.allocate(100, 0xa000);
  thread.release(0xb000);
  EXPECT_EQ(counters().free_unknown_calls, 1u);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 100, .live_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, DeleteThatEndsInFreeReleasesOnce) {
  thread.allocate(100, 0xa000);
  for (const uint64_t sp : {SimulatedThread::kStack, SimulatedThread::kStack - 0x20}) {
    thread.allocate(10, 0xb000);
    thread.release(0xb000, SimulatedThread::kStack, kDelete);
    thread.release(0xb000, sp);
  }
  EXPECT_EQ(counters().nested_calls, 2u);
  EXPECT_EQ(counters().free_unknown_calls, 0u);
  thread.release(0xb000);
  EXPECT_EQ(counters().free_unknown_calls, 1u);
  expect_conserved();
}

TEST_F(Pairing, OnlyTheOutermostOfNestedCallsCounts) {
  constexpr uint64_t kInner = SimulatedThread::kStack - 0x80;
  thread.enter(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, 4, 25);
  thread.allocate(128, 0xa000, kInner);
  thread.release(0xdead0, kInner);
  thread.leave(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, 0xa000);
  EXPECT_EQ(counters().seen_calls, 1u);
  EXPECT_EQ(counters().nested_calls, 2u);
  EXPECT_EQ(counters().free_unknown_calls, 0u);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 100, .live_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, ReallocMovesTheBlock) {
  thread.allocate(100, 0xa000);
  other.reallocate(0xa000, 300, 0xb000);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 300, .live_blocks = 1, .freed_bytes = 100, .freed_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, FailedReallocLeavesTheOldBlock) {
  thread.allocate(100, 0xa000);
  thread.reallocate(0xa000, 1u << 30, 0);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 100, .live_blocks = 1}));
  EXPECT_EQ(counters().failed_calls, 1u);
  thread.release(0xa000);
  EXPECT_EQ(counters().free_unknown_calls, 0u);
  expect_conserved();
}

TEST_F(Pairing, ReallocToZeroIsAFree) {
  thread.allocate(100, 0xa000);
  thread.reallocate(0xa000, 0, 0);
  EXPECT_EQ(sums(), (Sums{.freed_bytes = 100, .freed_blocks = 1}));
  EXPECT_EQ(counters().seen_calls, 1u);
  expect_conserved();
}

TEST_F(Pairing, ReallocToZeroThatEndsInFreeReleasesOnce) {
  thread.allocate(100, 0xa000);
  thread.reallocate(0xa000, 0, 0);
  thread.release(0xa000, SimulatedThread::kStack - 0x40);
  EXPECT_EQ(counters().released_calls, 1u);
  EXPECT_EQ(counters().nested_calls, 1u);
  expect_conserved();
}

TEST_F(Pairing, ReallocOfNullIsAMalloc) {
  thread.reallocate(0, 50, 0xa000);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 50, .live_blocks = 1}));
  EXPECT_EQ(counters().released_calls, 0u);
  expect_conserved();
}

TEST_F(Pairing, ReallocOfABlockOlderThanTheAttachReleasesAnUnknownOne) {
  thread.reallocate(0xa000, 50, 0xb000);
  EXPECT_EQ(counters().free_unknown_calls, 1u);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 50, .live_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, AddressGivenToAnotherThreadDuringReallocIsKept) {
  thread.allocate(100, 0xa000);
  thread.enter(kRealloc, AT_SHAPE_REALLOC, SimulatedThread::kStack, 0xa000, 300);
  other.allocate(7, 0xa000);
  thread.leave(kRealloc, AT_SHAPE_REALLOC, SimulatedThread::kStack, 0xb000);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 307, .live_blocks = 2, .freed_bytes = 100, .freed_blocks = 1}));
  EXPECT_EQ(counters().missed_free_calls, 0u);
  expect_conserved();
}

TEST_F(Pairing, AddressHandedOutTwiceMeansAMissedFree) {
  thread.allocate(100, 0xa000);
  thread.allocate(40, 0xa000);
  EXPECT_EQ(counters().missed_free_calls, 1u);
  EXPECT_EQ(counters().missed_free_bytes, 100u);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 40, .live_blocks = 1, .freed_bytes = 100, .freed_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, FullTableLosesTheBlockAndCreditsNoSite) {
  limit_live_blocks(1);
  thread.allocate(100, 0xa000);
  thread.allocate(200, 0xb000);
  EXPECT_EQ(counters().lost_live_full_calls, 1u);
  EXPECT_EQ(counters().lost_live_full_bytes, 200u);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 100, .live_blocks = 1}));
  thread.release(0xb000);
  thread.release(0xa000);
  EXPECT_EQ(sums(), (Sums{.freed_bytes = 100, .freed_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, BlocksOfAFullBucketAreFoundElsewhere) {
  constexpr uint64_t kBlocks = 200;
  for (uint64_t i = 1; i <= kBlocks; ++i) thread.allocate(i, 0xa000 + 16 * i);
  EXPECT_EQ(live_blocks(), kBlocks);
  EXPECT_GE(spilled_blocks(), kBlocks - AT_LIVE_BUCKET_ENTRIES * host_live_bucket_count());
  EXPECT_EQ(sums(), (Sums{.live_bytes = kBlocks * (kBlocks + 1) / 2, .live_blocks = kBlocks}));
  for (uint64_t i = 1; i <= kBlocks; ++i) other.release(0xa000 + 16 * i);
  EXPECT_EQ(counters().free_unknown_calls, 0u);
  EXPECT_EQ(sums(), (Sums{.freed_bytes = kBlocks * (kBlocks + 1) / 2, .freed_blocks = kBlocks}));
  for (uint32_t i = 0; i < host_live_bucket_count(); ++i) EXPECT_EQ(host_live_bucket(i)->spilled, 0u);
  expect_conserved();
}

TEST_F(Pairing, AddressHandedOutTwiceIsNoticedOutsideItsBucketToo) {
  occupy_buckets(AT_LIVE_BUCKET_ENTRIES);
  thread.allocate(100, 0xa000);
  for (uint32_t i = 0; i < host_live_bucket_count(); ++i) host_live_bucket(i)->keys[2] = AT_LIVE_FREE;
  thread.allocate(40, 0xa000);
  EXPECT_EQ(counters().missed_free_calls, 1u);
  EXPECT_EQ(spilled_blocks(), 0u);
  thread.release(0xa000);
  EXPECT_EQ(sums(), (Sums{.freed_bytes = 140, .freed_blocks = 2}));
  expect_conserved();
}

TEST_F(Pairing, EntriesThatPreemptedThreadsAreWritingAreLeftAlone) {
  occupy_buckets(AT_LIVE_BUCKET_ENTRIES - 1);
  thread.allocate(100, 0xa000);
  EXPECT_EQ(spilled_blocks(), 0u);
  thread.release(0xa000);
  thread.release(0xa000);
  EXPECT_EQ(counters().free_unknown_calls, 1u);
  for (uint32_t i = 0; i < host_live_bucket_count(); ++i)
    for (size_t entry = 0; entry + 1 < AT_LIVE_BUCKET_ENTRIES; ++entry)
      EXPECT_EQ(host_live_bucket(i)->keys[entry], AT_LIVE_BUSY);
  expect_conserved();
}

TEST_F(Pairing, FailedPosixMemalignIgnoresTheStalePointer) {
  write_user(0x5000, 0xa000);
  thread.enter(kPosixMemalign, AT_SHAPE_OUT_ALIGN_SIZE, SimulatedThread::kStack, 0x5000, 64, 100);
  thread.leave(kPosixMemalign, AT_SHAPE_OUT_ALIGN_SIZE, SimulatedThread::kStack, 12);
  EXPECT_EQ(counters().failed_calls, 1u);
  EXPECT_EQ(sums(), Sums{});
  expect_conserved();
}

TEST_F(Pairing, PosixMemalignTakesItsResultFromMemory) {
  thread.enter(kPosixMemalign, AT_SHAPE_OUT_ALIGN_SIZE, SimulatedThread::kStack, 0x5000, 64, 100);
  write_user(0x5000, 0xa000);
  thread.leave(kPosixMemalign, AT_SHAPE_OUT_ALIGN_SIZE, SimulatedThread::kStack, 0);
  thread.release(0xa000);
  EXPECT_EQ(sums(), (Sums{.freed_bytes = 100, .freed_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, UnreadableResultIsALoss) {
  unmap_user(0x5000);
  thread.enter(kPosixMemalign, AT_SHAPE_OUT_ALIGN_SIZE, SimulatedThread::kStack, 0x5000, 64, 100);
  thread.leave(kPosixMemalign, AT_SHAPE_OUT_ALIGN_SIZE, SimulatedThread::kStack, 0);
  EXPECT_EQ(counters().lost_fault_calls, 1u);
  expect_conserved();
}

TEST_F(Pairing, ReturnThatWasNeverProbedIsALossAndTheNextCallCounts) {
  thread.enter(kMalloc, AT_SHAPE_SIZE, SimulatedThread::kStack, 100, 0, 0, false);
  thread.allocate(40, 0xb000, SimulatedThread::kStack - 0x100);
  EXPECT_EQ(counters().lost_return_calls, 1u);
  EXPECT_EQ(counters().nested_calls, 0u);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 40, .live_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, ReallocWhoseReturnWasNeverSeenReleasesItsOldBlock) {
  thread.allocate(100, 0xa000);
  thread.enter(kRealloc, AT_SHAPE_REALLOC, SimulatedThread::kStack, 0xa000, 300, 0, false);
  thread.allocate(40, 0xb000);
  EXPECT_EQ(counters().lost_return_calls, 1u);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 40, .live_blocks = 1, .freed_bytes = 100, .freed_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, ReturnOfAnotherCallIsNotTakenForThisOne) {
  thread.enter(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, 1, 100);
  thread.stray_return(kMalloc, AT_SHAPE_SIZE, SimulatedThread::kStack - 0x80, 0xdead0);
  EXPECT_EQ(live_blocks(), 0u);
  thread.leave(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, 0xa000);
  thread.release(0xa000);
  EXPECT_EQ(sums(), (Sums{.freed_bytes = 100, .freed_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, ThrowingNewIsAFailureOnceTheThreadCallsAgain) {
  thread.enter(kNew, AT_SHAPE_SIZE, SimulatedThread::kStack, 1u << 30);
  thread.enter(kNew, AT_SHAPE_SIZE, SimulatedThread::kStack, 10);
  thread.leave(kNew, AT_SHAPE_SIZE, SimulatedThread::kStack, 0xa000);
  EXPECT_EQ(counters().failed_calls, 1u);
  EXPECT_EQ(counters().failed_bytes, 1u << 30);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 10, .live_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, ThrownNewIsAFailureAtTheNextFreeToo) {
  thread.enter(kNew, AT_SHAPE_SIZE, SimulatedThread::kStack, 1u << 30);
  thread.release(0xdead0, SimulatedThread::kStack + 0x40);
  EXPECT_EQ(counters().failed_calls, 1u);
  EXPECT_EQ(counters().free_unknown_calls, 1u);
  expect_conserved();
}

TEST_F(Pairing, CallDeeperThanAThrownNewIsNotNested) {
  thread.enter(kNew, AT_SHAPE_SIZE, SimulatedThread::kStack, 1u << 30);
  write_user(SimulatedThread::kStack, 0x1234);  // the slot holds another call's return address by now
  thread.allocate(10, 0xa000, SimulatedThread::kStack - 0x40);
  EXPECT_EQ(counters().failed_calls, 1u);
  EXPECT_EQ(counters().nested_calls, 0u);
  expect_conserved();
}

TEST_F(Pairing, MallocInsideNewIsNested) {
  thread.enter(kNew, AT_SHAPE_SIZE, SimulatedThread::kStack, 10);
  thread.allocate(16, 0xa000, SimulatedThread::kStack - 0x40);
  thread.leave(kNew, AT_SHAPE_SIZE, SimulatedThread::kStack, 0xa000);
  EXPECT_EQ(counters().nested_calls, 1u);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 10, .live_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, ImpossibleSizesAddNoBytes) {
  thread.allocate(UINT64_MAX / 2, 0);
  thread.enter(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, UINT64_MAX, 3);
  thread.leave(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, 0);
  thread.enter(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, 1u << 24, 1u << 24);
  thread.leave(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, 0);
  thread.allocate(100, 0xa000);
  thread.reallocate(0xa000, UINT64_MAX / 2, 0);
  EXPECT_EQ(counters().seen_bytes, 100u);
  EXPECT_EQ(counters().failed_calls, 4u);
  EXPECT_EQ(sums(), (Sums{.live_bytes = 100, .live_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, ZeroSizedBlockIsABlock) {
  thread.allocate(0, 0xa000);
  EXPECT_EQ(sums(), (Sums{.live_blocks = 1}));
  expect_conserved();
}

TEST_F(Pairing, AddressBeyondTheKeyIsALoss) {
  thread.allocate(100, 1ull << 50);
  EXPECT_EQ(counters().lost_range_calls, 1u);
  expect_conserved();
}

TEST_F(Pairing, NoMemoryForTheThreadsStateIsALoss) {
  fail_thread_state(true);
  thread.allocate(100, 0xa000);
  EXPECT_EQ(counters().lost_state_calls, 1u);
  EXPECT_EQ(counters().lost_state_bytes, 100u);
  expect_conserved();
}

TEST_F(Pairing, ThreadThatEndsInsideACallLeavesNothingInFlight) {
  thread.enter(kMalloc, AT_SHAPE_SIZE, SimulatedThread::kStack, 100);
  thread.end();
  EXPECT_EQ(counters().lost_return_calls, 1u);
  expect_conserved();
}

TEST_F(Pairing, ExecEndsTheSlot) {
  thread.allocate(100, 0xa000);
  thread.execute_another_program();
  thread.allocate(50, 0xb000);
  EXPECT_EQ(counters().seen_calls, 1u);
}

TEST_F(Pairing, ThreadsWithOneStackHaveSitesOfTheirOwn) {
  thread.allocate(100, 0xa000);
  other.allocate(10, 0xb000);
  thread.allocate(1, 0xc000);
  ASSERT_EQ(host_site_count(), 3u);
  EXPECT_EQ(host_site(1)->allocated_bytes, 101u);
  EXPECT_EQ(host_site(2)->allocated_bytes, 10u);
  EXPECT_EQ(host_site(1)->stack, host_site(2)->stack);
}

/// Random calls of two threads, with failures and a table that fills up, against a model that is a std::map.
TEST_F(Pairing, RandomCallsAreConservedAndExact) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    reset();
    host_set_slot(kSlot, kTgid);
    limit_live_blocks(seed % 2 == 0 ? 1'000'000 : 40);
    std::mt19937 random(seed);
    const auto pick = [&](uint32_t n) { return random() % n; };
    std::map<uint64_t, uint64_t> model;  // blocks of the program: address -> size
    for (int i = 0; i < 3000; ++i) {
      SimulatedThread& caller = pick(2) == 0 ? thread : other;
      const uint64_t size = pick(10'000);
      uint64_t address = 0x10000 + 16 * pick(100);
      if (model.count(address) != 0) {
        if (pick(2) == 0) {
          caller.release(address);
          model.erase(address);
          continue;
        }
        const uint64_t to = 0x20000 + 16 * static_cast<uint64_t>(i);
        const bool fails = pick(4) == 0;
        caller.reallocate(address, size + 1, fails ? 0 : to);
        if (fails) continue;
        model.erase(address);
        model[to] = size + 1;
      } else {
        if (pick(8) == 0) address = 0;
        caller.allocate(size, address);
        if (address != 0) model[address] = size;
      }
    }
    expect_conserved();
    if (seed % 2 != 0) continue;
    uint64_t bytes = 0;
    for (const auto& [address, size] : model) bytes += size;
    EXPECT_EQ(sums().live_bytes, bytes) << "seed " << seed;
    EXPECT_EQ(sums().live_blocks, model.size()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace alloctrail::bpf_host
