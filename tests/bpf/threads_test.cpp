// SPDX-License-Identifier: Apache-2.0
// Blocks that cross threads, threads that come and go: bytes stay with the thread that allocated them.
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

class Threads : public KernelTest {
 protected:
  /// Runs one phase of a story and compares report and truth.
  json exact_report_of(const std::string& story) {
    Workload workload({WORKLOAD_DIR "/threads", story}, deadline);
    Tracer tracer({workload.pid()}, deadline);
    const json truth = workload.go();
    json report = tracer.snapshot();
    expect_equals_truth(report, truth);
    EXPECT_EQ(tracer.finish().exit_code, 0);
    EXPECT_EQ(workload.finish(), 0);
    return report;
  }

  static json row_named(const json& report, const std::string& name) {
    for (const json& thread : report.at("threads"))
      if (thread.at("name") == name) return thread;
    ADD_FAILURE() << "no thread named " << name << " in " << report.at("threads");
    return {};
  }
};

TEST_F(Threads, BlockFreedByAnotherThreadLeavesItsMaker) {
  const json report = exact_report_of("freed_by_other");
  EXPECT_EQ(row_named(report, "maker").at("outstanding_blocks"), 40);
}

TEST_F(Threads, BlockReallocatedByAnotherThreadBecomesThatThreads) {
  const json report = exact_report_of("realloc_by_other");
  EXPECT_EQ(row_named(report, "maker").at("outstanding_blocks"), 80);
  EXPECT_EQ(row_named(report, "breaker").at("outstanding_blocks"), 20);
}

TEST_F(Threads, ThreadThatExitedKeepsItsBytesUnderItsName) {
  const json holder = row_named(exact_report_of("exits_holding"), "holder");
  EXPECT_EQ(holder.at("outstanding_bytes"), 3 * 1024 * 1024);
  EXPECT_FALSE(holder.at("alive").get<bool>());
}

TEST_F(Threads, ThreadStartedAfterTheAttachIsTraced) {
  const json latecomer = row_named(exact_report_of("late_thread"), "latecomer");
  EXPECT_EQ(latecomer.at("outstanding_bytes"), 3 * 1024 * 1024);
  EXPECT_TRUE(latecomer.at("alive").get<bool>());
}

TEST_F(Threads, EightThreadsOnOneSizeClassAddUpExactly) {
  const json report = exact_report_of("hammer");
  EXPECT_EQ(amount(report.at("totals"), "outstanding"), Amount{});
  EXPECT_EQ(amount(report.at("totals"), "allocated"), (Amount{8ULL * 20000 * 64, 8ULL * 20000}));
}

TEST_F(Threads, ReusedTidIsAnotherThread) {
  const json report = exact_report_of("tid_reused");
  const json first = row_named(report, "first-life");
  const json second = row_named(report, "second-life");
  EXPECT_EQ(first.at("tid"), second.at("tid"));
  EXPECT_FALSE(first.at("alive").get<bool>());
  EXPECT_TRUE(second.at("alive").get<bool>());
}

TEST_F(Threads, HundredThreadsOneAfterAnotherAreAllKept) {
  const json report = exact_report_of("many_short_lives");
  const json& rows = report.at("threads");
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](const json& row) { return row.at("name") == "mayfly"; }), 100);
}

}  // namespace
}  // namespace alloctrail::test
