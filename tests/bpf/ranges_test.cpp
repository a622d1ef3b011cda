// SPDX-License-Identifier: Apache-2.0
// Who mapped what, against programs that know what they have mapped and against /proc/PID/maps: equal at quiet points.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "tests/support/kernel_test.h"
#include "tests/support/leftovers.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

/// Bytes by thread and kind.
using Sums = std::map<std::pair<uint64_t, std::string>, int64_t>;

Sums sums_of(const json& truth) {
  Sums sums;
  for (const json& row : truth.at("sums"))
    if (row.at("bytes") != 0) sums[{row.at("tid"), row.at("kind")}] += row.at("bytes").get<int64_t>();
  return sums;
}

/// What was mapped since the attach and stands.
Sums sums_since_attach(const json& report) {
  Sums sums;
  for (const json& row : report.at("mappings"))
    if (row.at("origin") == "call") sums[{row.at("tid"), row.at("kind")}] += row.at("bytes").get<int64_t>();
  return sums;
}

uint64_t bytes_by_maps(pid_t pid) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  uint64_t sum = 0;
  for (std::string line; std::getline(maps, line);) {
    uint64_t start = 0, end = 0;
    char dash = 0;
    std::istringstream(line) >> std::hex >> start >> dash >> end;
    sum += end - start;
  }
  return sum;
}

/// At a quiet point: the calls add up to what /proc/PID/maps says, and nothing had to be put right.
void expect_equal_to_maps(const json& report, pid_t pid) {
  const json& mapped = report.at("mapped");
  const json& maps = mapped.at("maps");
  EXPECT_TRUE(maps.at("compared").get<bool>());
  EXPECT_EQ(maps.at("missing_bytes"), 0);
  EXPECT_EQ(maps.at("excess_bytes"), 0);
  EXPECT_EQ(maps.at("access_bytes"), 0);
  EXPECT_EQ(mapped.at("all").at("bytes"), bytes_by_maps(pid));
  EXPECT_TRUE(mapped.at("balanced").get<bool>());
  const json& calls = mapped.at("calls");
  EXPECT_EQ(calls.at("lost"), 0);
  EXPECT_EQ(calls.at("missed"), 0);
}

class Ranges : public KernelTest {
 protected:
  /// Tells one story before a tracer that watches, and compares everything.
  json exact_report_of(const std::string& story) {
    Workload workload({WORKLOAD_DIR "/ranges"}, deadline);
    Tracer tracer({workload.pid()}, deadline);
    const json truth = workload.go(story);
    json report = tracer.snapshot();
    EXPECT_EQ(sums_since_attach(report), sums_of(truth)) << report.at("mapped") << truth;
    expect_equal_to_maps(report, workload.pid());
    const json again = tracer.snapshot();
    expect_equal_to_maps(again, workload.pid());
    EXPECT_EQ(again.at("mapped").at("maps").at("looked_up_bytes"), 0);
    EXPECT_EQ(tracer.finish().exit_code, 0);
    EXPECT_EQ(workload.finish(), 0);
    return report;
  }

  static void expect_nothing_looked_up(const json& report) {
    EXPECT_EQ(report.at("mapped").at("lookups"), 0);
    EXPECT_EQ(report.at("mapped").at("maps").at("looked_up_bytes"), 0);
  }

  static bool has_frame(const json& row, const std::string& function) {
    for (const json& frame : row.at("stack"))
      if (frame.at("function") == function) return true;
    return false;
  }
};

TEST_F(Ranges, PartialSpanningAndFailedUnmapping) { expect_nothing_looked_up(exact_report_of("unmapping")); }

TEST_F(Ranges, FixedMappingsOverOldRanges) {
  const json report = exact_report_of("fixed");
  EXPECT_EQ(report.at("mapped").at("calls").at("failed"), 3);  // a fixed one that fails may have unmapped: looked up
  EXPECT_EQ(report.at("mapped").at("lookups"), 1);
}

TEST_F(Ranges, EveryFormOfMremap) { expect_nothing_looked_up(exact_report_of("remapping")); }

TEST_F(Ranges, BreakUpDownAndBelowItsStart) { expect_nothing_looked_up(exact_report_of("breaking")); }

TEST_F(Ranges, AdviceThatGivesBackLeavesTheRangeStanding) {
  const json report = exact_report_of("advising");
  expect_nothing_looked_up(report);
  EXPECT_EQ(report.at("mapped").at("given_back_bytes"), 10 * 4096);
}

TEST_F(Ranges, SystemVSegments) { EXPECT_EQ(exact_report_of("segments").at("mapped").at("lookups"), 3); }

TEST_F(Ranges, TebibyteReserved) {
  const json report = exact_report_of("reserving");
  EXPECT_EQ(report.at("mapped").at("kinds").at("reserved").at("since_attach").at("bytes"), (1ULL << 40) - 3 * 4096);
  EXPECT_EQ(report.at("mapped").at("lookups"), 1);  // an mprotect that failed may have done a part
}

TEST_F(Ranges, KindsAreKeptApart) {
  const json report = exact_report_of("kinds");
  expect_nothing_looked_up(report);
  for (const json& row : report.at("mappings")) {
    if (row.at("origin") != "call") continue;
    EXPECT_EQ(row.at("stack_status"), "complete");
    EXPECT_TRUE(has_frame(row, "main"));
    EXPECT_EQ(has_frame(row, "map_own"), row.at("kind") == "anonymous");
    EXPECT_EQ(has_frame(row, "malloc"), row.at("kind") == "allocator");
    EXPECT_EQ(row.at("path") == WORKLOAD_DIR "/ranges", row.at("kind") == "file");
  }
}

TEST_F(Ranges, ArenaOfAThreadIsTheAllocators) { expect_nothing_looked_up(exact_report_of("arena")); }

TEST_F(Ranges, ForkedChildIsAnotherProcess) { expect_nothing_looked_up(exact_report_of("forking")); }

TEST_F(Ranges, WhoSharesTheAddressSpaceBelongsToIt) { expect_nothing_looked_up(exact_report_of("sharing")); }

TEST_F(Ranges, I386CallOfA64BitProgramIsLookedUp) {
  Workload workload({WORKLOAD_DIR "/ranges"}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  workload.go("compat");
  const json report = tracer.snapshot();
  expect_equal_to_maps(report, workload.pid());
  EXPECT_EQ(report.at("mapped").at("lookups"), 1);
  EXPECT_EQ(report.at("mapped").at("maps").at("looked_up_bytes"), 4 * 4096);
  EXPECT_EQ(sums_since_attach(report), Sums{});
}

TEST_F(Ranges, EightThreadsMappingAndUnmappingNeighbours) {
  expect_nothing_looked_up(exact_report_of("neighbours 20000"));
}

TEST_F(Ranges, TracerThatStartsInTheMiddle) {
  Workload workload({WORKLOAD_DIR "/ranges"}, deadline);
  workload.go("neighbours 2000");
  const uint64_t before = bytes_by_maps(workload.pid());
  Tracer tracer({workload.pid()}, deadline);
  const json first = tracer.snapshot();
  expect_equal_to_maps(first, workload.pid());
  EXPECT_EQ(sums_since_attach(first), Sums{});
  EXPECT_GE(first.at("mapped").at("all").at("bytes"), before);  // and the page that uprobes work in
  workload.go("unmapping");
  expect_equal_to_maps(tracer.snapshot(), workload.pid());
}

TEST_F(Ranges, TracerThatStartsWhileEightThreadsAreAtIt) {
  Workload workload({WORKLOAD_DIR "/ranges"}, deadline);
  workload.go_without_truth("neighbours 60000");
  Tracer tracer({workload.pid()}, deadline);
  for (int i = 0; i < 5; ++i) {
    const json busy = tracer.snapshot().at("mapped");
    EXPECT_EQ(busy.at("maps").at("missing_bytes"), 0);
    EXPECT_EQ(busy.at("maps").at("excess_bytes"), 0);
    EXPECT_TRUE(busy.at("balanced").get<bool>());
  }
  (void)workload.child().read_line();  // its truth: they are done
  const json quiet = tracer.snapshot();
  EXPECT_EQ(quiet.at("mapped").at("maps").at("missing_bytes"), 0);
  EXPECT_EQ(quiet.at("mapped").at("maps").at("excess_bytes"), 0);
  EXPECT_EQ(quiet.at("mapped").at("all").at("bytes"), bytes_by_maps(workload.pid()));
}

TEST_F(Ranges, NoneOfTwoHundredThousandCallsIsLostOrTheMapIsMadeAnew) {
  Workload workload({WORKLOAD_DIR "/ranges"}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  workload.go("hurry 100000");
  const json mapped = tracer.snapshot().at("mapped");
  const json& calls = mapped.at("calls");
  EXPECT_EQ(calls.at("recorded").get<uint64_t>() + calls.at("lost").get<uint64_t>(), 200000);
  EXPECT_EQ(mapped.at("rebuilds"), calls.at("lost") == 0 ? 0 : 1);
  EXPECT_EQ(mapped.at("all").at("bytes"), bytes_by_maps(workload.pid()));
  const json again = tracer.snapshot().at("mapped");
  EXPECT_EQ(again.at("maps").at("missing_bytes"), 0);
  EXPECT_EQ(again.at("maps").at("excess_bytes"), 0);
}

TEST_F(Ranges, RecordsLostToAStoppedTracerAreCountedAndTheMapIsMadeAnew) {
  Workload workload({WORKLOAD_DIR "/ranges"}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  tracer.child().signal(SIGSTOP);
  workload.go("hurry 60000");      // twice as many records as the ring has room for
  const json truth = workload.go("unmapping");
  tracer.child().signal(SIGCONT);
  const json mapped = tracer.snapshot().at("mapped");
  EXPECT_GT(mapped.at("calls").at("lost"), 0);
  EXPECT_EQ(mapped.at("rebuilds"), 1);
  EXPECT_TRUE(mapped.at("balanced").get<bool>());
  EXPECT_EQ(mapped.at("all").at("bytes"), bytes_by_maps(workload.pid()));
  int64_t own = 0;
  for (const auto& [key, bytes] : sums_of(truth)) own += bytes;
  EXPECT_GE(mapped.at("maps").at("looked_up_bytes"), own);
}

TEST_F(Ranges, SixtyThousandRanges) {
  const json report = exact_report_of("many 60000");
  expect_nothing_looked_up(report);
}

TEST_F(Ranges, ExecForgetsTheOldImage) {
  Workload workload({WORKLOAD_DIR "/ranges"}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  workload.go("unmapping");
  workload.go_without_truth("exec");
  workload.wait_ready();
  const json last = tracer.next_report();
  EXPECT_EQ(last.at("end"), "execed");
  tracer.wait_hooked();
  const json truth = workload.go("remapping");
  const json report = tracer.snapshot();
  expect_equal_to_maps(report, workload.pid());
  for (const auto& [key, bytes] : sums_of(truth)) EXPECT_EQ(sums_since_attach(report)[key], bytes) << key.second;
}

TEST_F(Ranges, ExitReportsWhatStood) {
  Workload workload({WORKLOAD_DIR "/ranges"}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  const json truth = workload.go("remapping");
  EXPECT_EQ(workload.finish(), 0);
  const Tracer::End end = tracer.wait_end();
  ASSERT_EQ(end.reports.size(), 1u);
  EXPECT_EQ(end.reports[0].at("end"), "exited");
  EXPECT_EQ(sums_since_attach(end.reports[0]), sums_of(truth));
  EXPECT_FALSE(end.reports[0].at("mapped").at("maps").at("compared").get<bool>());
}

TEST_F(Ranges, ProcessKilledWhileItIsReadEndsAsAnyOther) {
  Workload workload({WORKLOAD_DIR "/ranges"}, deadline);
  Tracer tracer({workload.pid()}, deadline, {"--interval", "10ms"});
  workload.go_without_truth("neighbours 100000000");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(tracer.next_report().at("mapped").at("balanced").get<bool>());
  workload.child().signal(SIGKILL);
  const Tracer::End end = tracer.wait_end();
  EXPECT_EQ(end.exit_code, 0) << end.error_text;
  ASSERT_FALSE(end.reports.empty());
  EXPECT_EQ(end.reports.back().at("end"), "exited");
  EXPECT_TRUE(end.reports.back().at("mapped").at("balanced").get<bool>());
}

TEST_F(Ranges, ProcessWhoseMainThreadHasEnded) {
  Workload workload({WORKLOAD_DIR "/ranges", "leaderless"}, deadline);
  wait_until_zombie(workload.pid(), deadline);
  Tracer tracer({workload.pid()}, deadline);
  const json truth = workload.go("remapping");
  const json report = tracer.snapshot();
  EXPECT_EQ(sums_since_attach(report), sums_of(truth));
  EXPECT_EQ(report.at("mapped").at("maps").at("missing_bytes"), 0);
  EXPECT_EQ(report.at("mapped").at("maps").at("excess_bytes"), 0);
  EXPECT_TRUE(report.at("mapped").at("maps").at("compared").get<bool>());
}

TEST_F(Ranges, LeftOutWhereNotWanted) {
  Workload workload({WORKLOAD_DIR "/ranges"}, deadline);
  Tracer tracer({workload.pid()}, deadline, {"--no-mappings"});
  workload.go("unmapping");
  const json report = tracer.snapshot();
  EXPECT_FALSE(report.contains("mapped"));
  EXPECT_FALSE(report.contains("mappings"));
}

}  // namespace
}  // namespace alloctrail::test
