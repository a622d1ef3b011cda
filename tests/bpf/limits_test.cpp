// SPDX-License-Identifier: Apache-2.0
// Full tables and filters: what is left out is counted, what is tracked stays exact, and nothing phantom remains.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/support/kernel_test.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

constexpr uint64_t kBlocks = 100000;
constexpr uint64_t kBlockBytes = 64;

class Limits : public KernelTest {
 protected:
  Workload workload{{WORKLOAD_DIR "/blocks", std::to_string(kBlocks), std::to_string(kBlockBytes)}, deadline};
};

/// All of `round` times kBlocks were seen; at most the table's size of each round was tracked, the rest is named lost.
void expect_rest_is_lost(const json& report, uint64_t round) {
  const uint64_t lost = counted(report, "lost_live_full_calls");
  EXPECT_EQ(counted(report, "seen_calls"), round * kBlocks);
  EXPECT_EQ(lost, round * kBlocks - counted(report, "tracked_calls"));
  EXPECT_EQ(counted(report, "lost_live_full_bytes"), lost * kBlockBytes);
  expect_conserved(report);
}

TEST_F(Limits, FullLiveTableCountsWhatItLosesAndKeepsTheRestExact) {
  Tracer tracer({workload.pid()}, deadline, {"--max-live", "1000"});
  for (uint64_t round = 1; round <= 3; ++round) {
    workload.go("make");
    json report = tracer.snapshot();
    const Amount live = amount(report.at("totals"), "outstanding");
    EXPECT_GE(live.blocks, 900U);
    EXPECT_LE(live.blocks, 1100U);
    EXPECT_EQ(live.bytes, live.blocks * kBlockBytes);
    expect_rest_is_lost(report, round);
    workload.go("free");
    report = tracer.snapshot();
    EXPECT_EQ(amount(report.at("totals"), "outstanding"), Amount{});
    EXPECT_EQ(counted(report, "free_unknown_calls"), counted(report, "lost_live_full_calls"));
    expect_rest_is_lost(report, round);
  }
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Limits, HundredThousandBlocksFitTheDefaultTable) {
  Tracer tracer({workload.pid()}, deadline);
  for (const char* phase : {"make", "free"}) {
    const json truth = workload.go(phase);
    expect_equals_truth(tracer.snapshot(), truth);
  }
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Limits, BlocksBelowTheMinimumSizeAreCountedAsFiltered) {
  Tracer tracer({workload.pid()}, deadline, {"--min-size", std::to_string(kBlockBytes + 1)});
  workload.go("make");
  workload.go("free");
  const json report = tracer.snapshot();
  EXPECT_EQ(amount(report.at("totals"), "allocated"), Amount{});
  EXPECT_EQ(counted(report, "filtered_calls"), kBlocks);
  EXPECT_EQ(counted(report, "filtered_bytes"), kBlocks * kBlockBytes);
  EXPECT_EQ(counted(report, "free_unknown_calls"), kBlocks);
  expect_conserved(report);
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Limits, BlocksYoungerThanAskedAreNotOlder) {
  Tracer tracer({workload.pid()}, deadline, {"--older", "1h"});
  workload.go("make");
  const json report = tracer.snapshot();
  EXPECT_EQ(amount(report.at("totals"), "older"), Amount{});
  EXPECT_EQ(amount(report.at("totals"), "outstanding"), (Amount{kBlocks * kBlockBytes, kBlocks}));
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Limits, BlocksBecomeOlderAndStopBeingWhenFreed) {
  Tracer tracer({workload.pid()}, deadline, {"--older", "10ms"});
  workload.go("make");
  const Amount all{kBlocks * kBlockBytes, kBlocks};
  while (amount(tracer.snapshot().at("totals"), "older") != all) ASSERT_GT(deadline.left_ms(), 0);
  workload.go("free");
  EXPECT_EQ(amount(tracer.snapshot().at("totals"), "older"), Amount{});
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Limits, MoreExecutableMappingsThanFitAreSaidAndTheFilesStacksStayWhole) {
  Workload many({WORKLOAD_DIR "/many_mappings", "1100"}, deadline);
  Tracer tracer({many.pid()}, deadline);
  const json truth = many.go();
  const json report = tracer.snapshot();
  expect_equals_truth(report, truth);
  EXPECT_EQ(counted(report, "walk_complete_calls"), 10U);
  const json& warnings = report.at("warnings");
  EXPECT_TRUE(std::any_of(warnings.begin(), warnings.end(), [](const json& warning) {
    return warning.get<std::string>().find("more than 1024 executable mappings") != std::string::npos;
  })) << warnings;
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Limits, BlocksOfTheMinimumSizeAreTracked) {
  Tracer tracer({workload.pid()}, deadline, {"--min-size", std::to_string(kBlockBytes)});
  const json truth = workload.go("make");
  expect_equals_truth(tracer.snapshot(), truth);
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

}  // namespace
}  // namespace alloctrail::test
