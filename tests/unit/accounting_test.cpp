// SPDX-License-Identifier: Apache-2.0
#include "user/analysis/accounting.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/sample_snapshots.h"

namespace alloctrail {
namespace {

const CounterLine& line(const Accounting& account, std::string_view name) {
  for (const CounterLine& one : account.lines) {
    if (one.name == name) return one;
  }
  static const CounterLine kNone;
  ADD_FAILURE() << "no counter " << name;
  return kNone;
}

// A snapshot at a quiet moment: every call is accounted for.
Snapshot quiet() {
  Snapshot s = samples::leaking();
  s.counters.seen_calls = 1'234'601;
  s.counters.seen_bytes = 103'614'464;
  return s;
}

TEST(Accounting, QuietProcessBalancesToZero) {
  const Accounting account = accounting(quiet());
  EXPECT_EQ(account.live, (Amount{13'046'480, 125'400}));
  EXPECT_EQ(account.freed, (Amount{90'567'920, 1'109'200}));
  EXPECT_EQ(account.in_flight, Difference{});
  EXPECT_EQ(account.untracked, Difference{});
  EXPECT_EQ(account.unmatched_releases, 0);
  EXPECT_TRUE(account.balanced);
  EXPECT_FALSE(account.anything_lost());
}

TEST(Accounting, CallsUnderWayAreARestAndBalance) {
  const Accounting account = accounting(samples::leaking());
  EXPECT_EQ(account.in_flight, (Difference{2, 64}));
  EXPECT_TRUE(account.balanced);
}

TEST(Accounting, EveryReasonForAMissingCallIsSubtracted) {
  Snapshot s = quiet();
  at_counters& count = s.counters;
  count.sampled_out_calls = 1, count.sampled_out_bytes = 10;
  count.filtered_calls = 2, count.filtered_bytes = 20;
  count.lost_live_full_calls = 4, count.lost_live_full_bytes = 40;
  count.lost_return_calls = 8, count.lost_return_bytes = 80;
  count.lost_fault_calls = 16, count.lost_fault_bytes = 160;
  count.seen_calls += 31;
  count.seen_bytes += 310;
  const Accounting account = accounting(s);
  EXPECT_EQ(account.in_flight, Difference{});
  EXPECT_EQ(account.lost, (Amount{280, 28}));
  EXPECT_TRUE(account.balanced);
  EXPECT_TRUE(account.anything_lost());
}

TEST(Accounting, MoreAccountedForThanSeenIsNotBalanced) {
  Snapshot calls = quiet();
  --calls.counters.seen_calls;
  EXPECT_EQ(accounting(calls).in_flight.calls, -1);
  EXPECT_FALSE(accounting(calls).balanced);

  Snapshot bytes = quiet();
  --bytes.counters.seen_bytes;
  EXPECT_FALSE(accounting(bytes).balanced);

  Snapshot tracked = quiet();
  --tracked.counters.tracked_bytes;
  EXPECT_EQ(accounting(tracked).untracked, (Difference{0, -1}));
  EXPECT_FALSE(accounting(tracked).balanced);

  Snapshot released = quiet();
  --released.counters.released_calls;
  EXPECT_EQ(accounting(released).unmatched_releases, -1);
  EXPECT_FALSE(accounting(released).balanced);
}

TEST(Accounting, AMissedFreeIsFreedWithoutARelease) {
  Snapshot s = quiet();
  s.counters.missed_free_calls = 3;
  s.counters.released_calls -= 3;
  EXPECT_EQ(accounting(s).unmatched_releases, 0);
  EXPECT_TRUE(accounting(s).balanced);
}

TEST(Accounting, CallsAndBytesOfOneEventAreOneLine) {
  Snapshot s;
  s.counters.lost_live_full_calls = 5;
  s.counters.lost_live_full_bytes = 500;
  s.counters.stack_full_calls = 7;
  const Accounting account = accounting(s);
  EXPECT_EQ(line(account, "lost_live_full").calls, 5u);
  EXPECT_EQ(line(account, "lost_live_full").bytes, 500u);
  EXPECT_EQ(line(account, "lost_live_full").kind, CounterKind::Loss);
  EXPECT_EQ(line(account, "stack_full").calls, 7u);
  EXPECT_FALSE(line(account, "stack_full").bytes);
  EXPECT_EQ(line(account, "stack_full").kind, CounterKind::Note);
  EXPECT_EQ(line(account, "seen").kind, CounterKind::Flow);
}

TEST(Accounting, EveryCounterOfTheSharedListIsThereOnce) {
  at_counters numbered{};
  uint64_t* fields = reinterpret_cast<uint64_t*>(&numbered);
  const size_t count = sizeof(numbered) / sizeof(uint64_t);
  for (size_t i = 0; i < count; ++i) fields[i] = i + 1;
  Snapshot s;
  s.counters = numbered;
  std::vector<uint64_t> found;
  for (const CounterLine& one : accounting(s).lines) {
    found.push_back(one.calls);
    if (one.bytes) found.push_back(*one.bytes);
    EXPECT_FALSE(one.sentence.empty());
  }
  ASSERT_EQ(found.size(), count);
  for (size_t i = 0; i < count; ++i) EXPECT_EQ(found[i], i + 1);
}

}  // namespace
}  // namespace alloctrail
