// SPDX-License-Identifier: Apache-2.0
// Sampling as the kernel half does it, run natively: the estimates are unbiased, the stated intervals cover the truth as
// often as they say, and every call is accounted for. Seeds are fixed, so each outcome is too.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <vector>

#include "tests/support/bpf_host/simulation.h"
#include "user/analysis/interval.h"
#include "user/kernel/sample_table.h"
#include "user/trace/estimates.h"

namespace alloctrail::bpf_host {
namespace {

constexpr uint64_t KiB = 1024;
constexpr uint64_t MiB = 1024 * KiB;

/// What the sites say together.
struct Estimate {
  Amount recorded;
  at_sample_sums sums{};

  [[nodiscard]] Amount amount() const { return estimate(recorded, sums); }
  [[nodiscard]] AmountInterval interval(uint64_t unseen = 0) const {
    return interval_of(amount(), sampled_part(sums), unseen);
  }
};

at_sample_sums difference(const at_sample_sums& a, const at_sample_sums& b) {
  return {.samples = a.samples - b.samples,
          .bytes = a.bytes - b.bytes,
          .stand_bytes = a.stand_bytes - b.stand_bytes,
          .stand_blocks_q16 = a.stand_blocks_q16 - b.stand_blocks_q16,
          .bytes_variance_q = a.bytes_variance_q - b.bytes_variance_q,
          .blocks_variance_q4 = a.blocks_variance_q4 - b.blocks_variance_q4};
}

Estimate operator-(const Estimate& a, const Estimate& b) {
  return {a.recorded - b.recorded, difference(a.sums, b.sums)};
}

void add(at_sample_sums& sum, const at_sample_sums& more) {
  sum = difference(sum, difference({}, more));
}

class Sampling : public testing::Test {
 protected:
  Sampling() { reset(); host_set_slot(kSlot, kTgid); }

  void sample_at(uint64_t rate_bytes, uint32_t rung = 1) {
    const std::vector<at_sample_class> table = sample_table({.lowest_bytes = rate_bytes});
    for (uint32_t i = 0; i < table.size(); ++i) host_set_sample_class(i, &table[i]);
    host_sample(kSlot, rung);
  }
  void allocate(uint64_t size) { thread.allocate(size, next_address_ += 16); }

  static Estimate allocated() {
    Estimate sum;
    for (uint32_t i = 1; i < host_site_count(); ++i) {
      sum.recorded += {host_site(i)->allocated_bytes, host_site(i)->allocated_blocks};
      add(sum.sums, host_site_samples(i)->side[AT_SAMPLES_ALLOCATED]);
    }
    return sum;
  }
  static Estimate freed() {
    Estimate sum;
    for (uint32_t i = 1; i < host_site_count(); ++i) {
      sum.recorded += {host_site(i)->freed_bytes, host_site(i)->freed_blocks};
      add(sum.sums, host_site_samples(i)->side[AT_SAMPLES_FREED]);
    }
    return sum;
  }
  static void expect_conserved() {
    const at_counters& c = *host_counters(kSlot);
    EXPECT_EQ(c.seen_calls, c.tracked_calls + c.failed_calls + c.sampled_out_calls + c.filtered_calls);
    EXPECT_EQ(c.seen_bytes, c.tracked_bytes + c.failed_bytes + c.sampled_out_bytes + c.filtered_bytes);
    EXPECT_EQ(c.tracked_calls, allocated().recorded.blocks);
    EXPECT_EQ(c.tracked_bytes, allocated().recorded.bytes);
    EXPECT_EQ(c.released_calls, freed().recorded.blocks - c.missed_free_calls + c.free_unknown_calls);
    EXPECT_EQ(live_blocks(), (allocated() - freed()).recorded.blocks);
  }
  static at_counters& counters() { return *host_counters(kSlot); }

  SimulatedThread thread{101};
  SimulatedThread other{102};

 private:
  uint64_t next_address_ = 0x10000;
};

TEST_F(Sampling, SizeClassesAreNarrowAndOrdered) {
  uint32_t before = 0;
  for (uint64_t size = 1; size < 256 * MiB; size += 1 + size / 97) {
    const uint32_t size_class = at_size_class(size);
    EXPECT_GE(size_class, before);
    EXPECT_LT(size_class, uint32_t{AT_SAMPLE_CLASSES});
    before = size_class;
  }
  EXPECT_NE(at_size_class(7), at_size_class(8));
  EXPECT_NE(at_size_class(1023), at_size_class(1024));
  EXPECT_EQ(at_size_class(1024), at_size_class(1024 + 127));
  EXPECT_NE(at_size_class(1024), at_size_class(1024 + 128));
  EXPECT_EQ(at_size_class(AT_SAMPLE_LARGEST), at_size_class(uint64_t{1} << 46));
}

TEST_F(Sampling, TableDrawsASampleInAboutEveryRateBytes) {
  const std::vector<at_sample_class> table = sample_table({.lowest_bytes = 64 * KiB});
  for (const uint64_t size : {16u, 1000u, 65536u, 200000u}) {
    const at_sample_class& drawn = table[AT_SAMPLE_CLASSES + at_size_class(size)];
    const double probability = std::ldexp(static_cast<double>(drawn.threshold), -32);
    EXPECT_NEAR(probability / -std::expm1(-static_cast<double>(size) / (64 * KiB)), 1, 0.065) << size;
    EXPECT_NEAR(std::ldexp(static_cast<double>(drawn.weight_q16), -16) * probability, 1, 1e-5) << size;
  }
  EXPECT_EQ(table[AT_SAMPLE_CLASSES + at_size_class(MiB)].threshold, AT_SAMPLE_ALWAYS);
  EXPECT_EQ(table[at_size_class(16)].threshold, AT_SAMPLE_ALWAYS) << "rung 0 records everything";
}

TEST_F(Sampling, RungsDoubleUpToTheHighestRate) {
  const SampleRates all;
  EXPECT_EQ(all.rate_bytes(0), 0u);
  EXPECT_EQ(all.rate_bytes(1), KiB);
  EXPECT_EQ(all.rate_bytes(2), 2 * KiB);
  EXPECT_EQ(all.top_rung(), AT_SAMPLE_RUNGS - 1u);
  EXPECT_EQ(all.rate_bytes(all.top_rung()), kHighestSampleRate);
  const SampleRates one{.lowest_bytes = kHighestSampleRate};
  EXPECT_EQ(one.top_rung(), 1u);
  EXPECT_EQ(one.rate_bytes(9), kHighestSampleRate);
}

struct Load {
  uint64_t size;
  uint64_t rate;
  uint64_t blocks;
};

/// 16 B to 64 MiB, each at a rate where about 400 or more samples come.
constexpr Load kLoads[] = {{16, KiB, 30'000},        {100, 4 * KiB, 16'000},        {1000, 16 * KiB, 8'000},
                           {4096, 64 * KiB, 8'000},  {100 * KiB, 512 * KiB, 4'000}, {MiB, MiB, 2'000},
                           {4 * MiB, 4 * MiB, 2'000}, {64 * MiB, 16 * MiB, 2'000}};

TEST_F(Sampling, EstimatesAreUnbiasedFrom16BytesTo64MiB) {
  seed_random(7);
  for (const Load& load : kLoads) {
    sample_at(load.rate);
    const Estimate before = allocated();
    for (uint64_t i = 0; i < load.blocks; ++i) allocate(load.size);
    const Estimate got = allocated() - before;
    const auto truth = static_cast<double>(load.size * load.blocks);
    const double deviation = std::sqrt(sampled_part(got.sums).bytes_variance);
    EXPECT_LE(std::abs(static_cast<double>(got.amount().bytes) - truth), 3 * deviation) << load.size;
    EXPECT_LE(deviation, 0.06 * truth) << load.size << ": too few samples to tell anything";
    const double blocks_deviation = std::sqrt(sampled_part(got.sums).blocks_variance);
    EXPECT_LE(std::abs(static_cast<double>(got.amount().blocks) - static_cast<double>(load.blocks)),
              3 * blocks_deviation)
        << load.size;
  }
  expect_conserved();
}

/// How often the intervals of `rounds` rounds hold the truth.
struct Coverage {
  int bytes = 0;
  int blocks = 0;
};

TEST_F(Sampling, IntervalsCoverTheTruthAsOftenAsTheySay) {
  seed_random(11);
  constexpr int kRounds = 500;
  Coverage all;
  int cases = 0;
  for (const uint64_t size : {uint64_t{16}, uint64_t{500}, 8 * KiB, 256 * KiB, 4 * MiB, 64 * MiB}) {
    const uint64_t rate = std::min(8 * std::max(size, uint64_t{128}), kHighestSampleRate);
    sample_at(rate);
    for (const uint64_t samples : {5u, 20u, 60u}) {
      const uint64_t blocks = std::max(samples * rate / size, samples);
      const Amount truth{.bytes = size * blocks, .blocks = blocks};
      Coverage covered;
      for (int round = 0; round < kRounds; ++round) {
        const Estimate before = allocated();
        for (uint64_t i = 0; i < blocks; ++i) allocate(size);
        const AmountInterval interval = (allocated() - before).interval(rate);
        covered.bytes += interval.bytes.low <= static_cast<double>(truth.bytes) &&
                         static_cast<double>(truth.bytes) <= interval.bytes.high;
        covered.blocks += interval.blocks.low <= static_cast<double>(truth.blocks) &&
                          static_cast<double>(truth.blocks) <= interval.blocks.high;
      }
      RecordProperty("covered_" + std::to_string(size) + "_" + std::to_string(samples), covered.bytes);
      EXPECT_GE(covered.bytes, kRounds * 0.91) << size << " bytes, about " << samples << " samples";
      EXPECT_GE(covered.blocks, kRounds * 0.91) << size << " bytes, about " << samples << " samples";
      all.bytes += covered.bytes;
      all.blocks += covered.blocks;
      ++cases;
    }
  }
  const double rounds = kRounds * cases;
  EXPECT_GE(all.bytes / rounds, 0.93);
  EXPECT_LE(all.bytes / rounds, 0.98);
  EXPECT_GE(all.blocks / rounds, 0.93);
  EXPECT_LE(all.blocks / rounds, 0.98);
}

TEST_F(Sampling, MixedSizesAreCoveredToo) {
  seed_random(13);
  sample_at(64 * KiB);
  constexpr int kRounds = 400;
  std::mt19937 sizes(5);
  int covered = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Estimate before = allocated();
    uint64_t truth = 0;
    for (int i = 0; i < 300; ++i) {
      const uint64_t size = uint64_t{1} << (4 + sizes() % 17);
      truth += size;
      allocate(size);
    }
    const Interval interval = (allocated() - before).interval().bytes;
    covered += interval.low <= static_cast<double>(truth) && static_cast<double>(truth) <= interval.high;
  }
  EXPECT_GE(covered, kRounds * 0.93);
  EXPECT_LE(covered, kRounds * 0.98);
}

TEST_F(Sampling, BlocksFarAboveTheRateAreExact) {
  sample_at(64 * KiB);
  for (int i = 0; i < 1000; ++i) allocate(512 * KiB);
  EXPECT_EQ(allocated().sums.samples, 0u);
  EXPECT_EQ(allocated().amount(), (Amount{.bytes = 512'000 * KiB, .blocks = 1000}));
  const AmountInterval interval = allocated().interval();
  EXPECT_EQ(interval.bytes, (Interval{512'000.0 * 1024, 512'000.0 * 1024}));
  EXPECT_EQ(interval.blocks, (Interval{1000, 1000}));
  EXPECT_EQ(counters().sampled_out_calls, 0u);
}

TEST_F(Sampling, BlocksKeepTheWeightTheyWereRecordedWith) {
  seed_random(17);
  sample_at(KiB);
  std::vector<uint64_t> blocks;
  for (uint32_t rung = 0; rung < AT_SAMPLE_RUNGS; ++rung) {
    host_sample(kSlot, rung);
    for (int i = 0; i < 500; ++i) {
      blocks.push_back(0x100000 + blocks.size() * 16);
      thread.allocate(1 + static_cast<uint64_t>(i) * 37 % 9000, blocks.back());
    }
  }
  EXPECT_GT(allocated().sums.samples, 1000u);
  host_sample(kSlot, 3);
  for (const uint64_t block : blocks) other.release(block);
  EXPECT_EQ(allocated().amount(), freed().amount());
  EXPECT_EQ(allocated().sums.bytes_variance_q, freed().sums.bytes_variance_q);
  EXPECT_EQ(allocated().sums.blocks_variance_q4, freed().sums.blocks_variance_q4);
  EXPECT_EQ(counters().released_calls, blocks.size());
  expect_conserved();
}

/// At this rate no block of a few bytes is drawn (a chance of one in a million each).
constexpr uint64_t kHardlyEver = 16 * MiB;

TEST_F(Sampling, SkippedCallNeedsNoReturn) {
  sample_at(kHardlyEver);
  thread.enter(kMalloc, AT_SHAPE_SIZE, SimulatedThread::kStack, 8);
  EXPECT_EQ(counters().sampled_out_calls, 1u);
  EXPECT_EQ(counters().sampled_out_bytes, 8u);
  thread.allocate(16, 0xa000);
  thread.release(0xa000);
  EXPECT_EQ(counters().free_unknown_calls, 1u);
  EXPECT_EQ(counters().lost_return_calls, 0u);
  expect_conserved();
}

TEST_F(Sampling, CallInsideASkippedOneIsNotAnotherAllocation) {
  sample_at(kHardlyEver);
  constexpr uint64_t kInner = SimulatedThread::kStack - 0x80;
  thread.enter(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, 4, 2);
  thread.allocate(8, 0xa000, kInner);
  thread.leave(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, 0xa000);
  EXPECT_EQ(counters().seen_calls, 1u);
  EXPECT_EQ(counters().nested_calls, 1u);
  EXPECT_EQ(counters().sampled_out_calls, 1u);
  expect_conserved();
}

TEST_F(Sampling, ReallocOfARecordedBlockReleasesItThoughTheNewOneIsSkipped) {
  sample_at(kHardlyEver);
  host_sample(kSlot, 0);
  thread.allocate(100, 0xa000);
  host_sample(kSlot, 1);
  thread.reallocate(0xa000, 8, 0xb000);
  EXPECT_EQ(counters().sampled_out_calls, 1u);
  EXPECT_EQ(freed().recorded, (Amount{.bytes = 100, .blocks = 1}));
  EXPECT_EQ(counters().free_unknown_calls, 0u);
  expect_conserved();
}

TEST_F(Sampling, FailedReallocKeepsTheRecordedBlockThoughTheNewOneWouldBeSkipped) {
  sample_at(kHardlyEver);
  host_sample(kSlot, 0);
  thread.allocate(100, 0xa000);
  host_sample(kSlot, 1);
  thread.reallocate(0xa000, 8, 0);
  EXPECT_EQ(counters().failed_calls, 1u);
  EXPECT_EQ(live_blocks(), 1u);
  thread.release(0xa000);
  EXPECT_EQ(freed().recorded, (Amount{.bytes = 100, .blocks = 1}));
  expect_conserved();
}

TEST_F(Sampling, ReallocOfASkippedBlockReleasesAnUnknownOne) {
  sample_at(kHardlyEver);
  thread.reallocate(0xa000, 8, 0xb000);
  EXPECT_EQ(counters().sampled_out_calls, 1u);
  EXPECT_EQ(counters().released_calls, 1u);
  EXPECT_EQ(counters().free_unknown_calls, 1u);
  expect_conserved();
}

TEST_F(Sampling, ThreadEndingInsideALeftOutCallLosesNothing) {
  sample_at(kHardlyEver);
  thread.enter(kCalloc, AT_SHAPE_COUNT_SIZE, SimulatedThread::kStack, 1, 8);
  thread.end();
  EXPECT_EQ(counters().sampled_out_calls, 1u);
  EXPECT_EQ(counters().lost_return_calls, 0u);
  expect_conserved();
}

TEST_F(Sampling, RandomCallsAtChangingRatesAreConserved) {
  seed_random(19);
  sample_at(KiB);
  std::mt19937 random(23);
  std::vector<uint64_t> blocks;
  uint64_t next = 0x100000;
  for (int i = 0; i < 20'000; ++i) {
    SimulatedThread& caller = random() % 2 == 0 ? thread : other;
    const uint64_t size = uint64_t{1} << random() % 14;
    if (i % 1000 == 0) host_sample(kSlot, static_cast<uint32_t>(i / 1000) % AT_SAMPLE_RUNGS);
    const uint32_t choice = static_cast<uint32_t>(random() % 10);
    if (choice < 5 || blocks.empty()) {
      blocks.push_back(next += 16);
      caller.allocate(size, blocks.back());
    } else if (choice < 7) {
      uint64_t& block = blocks[random() % blocks.size()];
      const uint64_t moved = choice == 5 ? block : next += 16;
      caller.reallocate(block, size, moved);
      block = moved;
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      caller.release(blocks.back());
      blocks.pop_back();
    }
  }
  EXPECT_EQ(counters().seen_calls, counters().released_calls + blocks.size());
  expect_conserved();
}

TEST_F(Sampling, OnlyWantedThreadsAreRecorded) {
  host_want_threads(101, "");
  thread.allocate(100, 0xa000);
  other.allocate(70, 0xb000);
  EXPECT_EQ(counters().filtered_calls, 1u);
  EXPECT_EQ(counters().filtered_bytes, 70u);
  EXPECT_EQ(allocated().recorded, (Amount{.bytes = 100, .blocks = 1}));
  other.release(0xa000);
  EXPECT_EQ(freed().recorded, (Amount{.bytes = 100, .blocks = 1}));
  thread.release(0xb000);
  EXPECT_EQ(counters().free_unknown_calls, 1u);
  expect_conserved();
}

TEST_F(Sampling, ThreadsAreWantedByTheirNameAsOfNow) {
  host_want_threads(0, "worker");
  thread.allocate(100, 0xa000);
  EXPECT_EQ(counters().filtered_calls, 0u);
  reset();
  host_set_slot(kSlot, kTgid);
  host_want_threads(0, "worke");
  thread.allocate(100, 0xa000);
  EXPECT_EQ(counters().filtered_calls, 1u);
  expect_conserved();
}

TEST_F(Sampling, UnwantedThreadsReallocReleasesAWantedThreadsBlock) {
  host_want_threads(101, "");
  thread.allocate(100, 0xa000);
  other.reallocate(0xa000, 50, 0xb000);
  EXPECT_EQ(freed().recorded, (Amount{.bytes = 100, .blocks = 1}));
  EXPECT_EQ(counters().filtered_calls, 1u);
  EXPECT_EQ(counters().free_unknown_calls, 0u);
  expect_conserved();
}

TEST(Interval, ExactFiguresHaveNone) {
  EXPECT_EQ(interval_of({1000, 10}, {}, 0), (AmountInterval{{1000, 1000}, {10, 10}}));
}

TEST(Interval, NothingSeenStillMayBeAFewRates) {
  const AmountInterval interval = interval_of({0, 0}, {}, 64 * KiB);
  EXPECT_EQ(interval.bytes.low, 0);
  EXPECT_NEAR(interval.bytes.high, 3.69 * 64 * KiB, 0.01 * 64 * KiB);
}

TEST(Interval, ManySamplesGiveTheNormalInterval) {
  const SampledPart part{.samples = 10'000, .bytes = 1e9, .blocks = 1e6, .bytes_variance = 1e14, .blocks_variance = 1e8};
  const AmountInterval interval = interval_of({2'000'000'000, 1'000'000}, part, 0);
  EXPECT_NEAR(interval.bytes.low, 2e9 - 1.96e7, 4e5);
  EXPECT_NEAR(interval.bytes.high, 2e9 + 1.96e7, 4e5);
  EXPECT_NEAR(interval.blocks.low, 1e6 - 1.96e4, 4e2);
  EXPECT_NEAR(interval.blocks.high, 1e6 + 1.96e4, 4e2);
}

}  // namespace
}  // namespace alloctrail::bpf_host
