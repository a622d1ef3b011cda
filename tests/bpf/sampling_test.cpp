// SPDX-License-Identifier: Apache-2.0
// Sampling and the thread filter on the real kernel, under every allocator and every kind of probe: nothing is counted
// twice or forgotten, and estimates lie where they must. (How often intervals cover: tests/unit/sampling_test.cpp.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "tests/support/kernel_test.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

struct Case {
  const char* name;
  const char* program;
  const char* probe_kind;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name;
}

uint64_t sum_of(const json& truth, const char* field) {
  uint64_t sum = 0;
  for (const json& thread : truth.at("threads")) sum += thread.at(field).get<uint64_t>();
  return sum;
}

/// Six standard deviations: an unbiased estimate is further off once in a billion runs.
void expect_near_truth(const json& row, const char* what, uint64_t truth) {
  const auto estimate = row.at(what).get<double>();
  const double deviation = (row.at(std::string(what) + "_high").get<double>() - estimate) / 1.96;
  EXPECT_LE(std::abs(estimate - static_cast<double>(truth)), 6 * deviation) << what << ": " << row;
}

void expect_balanced(const json& report) {
  const auto count = [&](const char* name) { return counted(report, name); };
  EXPECT_EQ(count("seen_calls"), count("live_blocks") + count("freed_blocks") + count("failed_calls") +
                                     count("sampled_out_calls") + count("filtered_calls") + count("lost_calls"));
  EXPECT_EQ(count("seen_bytes"), count("live_bytes") + count("freed_bytes") + count("failed_bytes") +
                                     count("sampled_out_bytes") + count("filtered_bytes") + count("lost_bytes"));
  EXPECT_EQ(count("released_calls"),
            count("freed_blocks") - count("missed_free_calls") + count("free_unknown_calls"));
  EXPECT_TRUE(report.at("accounting").at("balanced").get<bool>()) << report.at("accounting");
  expect_nothing_lost(report);
}

class Sampled : public KernelTest, public ::testing::WithParamInterface<Case> {};

TEST_P(Sampled, EveryCallIsAccountedForAndEstimatesAreNearTheTruth) {
  Workload workload({std::string(WORKLOAD_DIR "/") + GetParam().program, "4", "4000"}, deadline);
  Tracer tracer({workload.pid()}, deadline, {"--sample", "4KiB", "--probe-kind", GetParam().probe_kind});
  for (const char* line : {"1", "2", "free"}) {
    const json truth = workload.go(line);
    const json report = tracer.snapshot();
    expect_balanced(report);
    const auto failed = truth.at("failed_calls").get<uint64_t>();
    EXPECT_EQ(counted(report, "seen_calls"), sum_of(truth, "allocated_blocks") + failed) << line;
    EXPECT_EQ(counted(report, "seen_bytes"), sum_of(truth, "allocated_bytes")) << line;
    EXPECT_GT(counted(report, "sampled_out_calls"), 0u);
    // A realloc that is left out is taken to have released its old block, also if it failed.
    EXPECT_GE(counted(report, "released_calls"), truth.at("released_calls").get<uint64_t>());
    EXPECT_LE(counted(report, "released_calls"), truth.at("released_calls").get<uint64_t>() + failed);
    const json& totals = report.at("totals");
    expect_near_truth(totals, "allocated_bytes", sum_of(truth, "allocated_bytes"));
    expect_near_truth(totals, "allocated_blocks", sum_of(truth, "allocated_blocks"));
    if (std::string(line) == "free") {
      EXPECT_EQ(amount(totals, "outstanding"), Amount{});
    } else {
      expect_near_truth(totals, "outstanding_bytes", sum_of(truth, "outstanding_bytes"));
      expect_near_truth(totals, "outstanding_blocks", sum_of(truth, "outstanding_blocks"));
    }
  }
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(workload.finish(), 0);
}

INSTANTIATE_TEST_SUITE_P(, Sampled,
                         ::testing::Values(Case{"glibc_session", "oracle_glibc", "session"},
                                           Case{"glibc_multi", "oracle_glibc", "multi"},
                                           Case{"glibc_perf", "oracle_glibc", "perf"},
                                           Case{"jemalloc", "oracle_jemalloc", "auto"},
                                           Case{"tcmalloc", "oracle_tcmalloc", "auto"},
                                           Case{"mimalloc", "oracle_mimalloc", "auto"},
                                           Case{"musl", "oracle_musl", "auto"}),
                         [](const ::testing::TestParamInfo<Case>& info) { return std::string(info.param.name); });

class ThreadFilter : public KernelTest {
 protected:
  /// The thread's row equals its truth although other threads free its blocks; everything else was left out.
  void expect_only(const json& report, const json& truth, const json& wanted) {
    expect_conserved(report);
    expect_nothing_lost(report);
    ASSERT_EQ(report.at("threads").size(), 1u);
    const json& row = report.at("threads").at(0);
    EXPECT_EQ(row.at("tid"), wanted.at("tid"));
    EXPECT_EQ(amount(row, "allocated"), amount(wanted, "allocated"));
    EXPECT_EQ(amount(row, "outstanding"), amount(wanted, "outstanding"));
    const auto all = sum_of(truth, "allocated_blocks") + truth.at("failed_calls").get<uint64_t>();
    EXPECT_EQ(counted(report, "seen_calls"), all);
    EXPECT_EQ(counted(report, "filtered_calls"),
              all - amount(wanted, "allocated").blocks - counted(report, "failed_calls"));
  }
};

/// One of the worker threads, by number.
pid_t some_worker(pid_t pid) {
  std::vector<pid_t> tids;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"))
    tids.push_back(std::stoi(task.path().filename().string()));
  std::sort(tids.begin(), tids.end());
  return tids.at(2);
}

json thread_of(const json& truth, pid_t tid) {
  for (const json& thread : truth.at("threads"))
    if (thread.at("tid").get<pid_t>() == tid) return thread;
  ADD_FAILURE() << "no thread " << tid << " in " << truth;
  return {};
}

TEST_F(ThreadFilter, OneOfFourContendingThreadsIsExact) {
  Workload workload({WORKLOAD_DIR "/oracle_glibc", "4", "3000"}, deadline);
  const pid_t tid = some_worker(workload.pid());
  Tracer tracer({workload.pid()}, deadline, {"--thread", std::to_string(tid)});
  for (const char* line : {"1", "2", "free"}) {
    const json truth = workload.go(line);
    expect_only(tracer.snapshot(), truth, thread_of(truth, tid));
  }
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(workload.finish(), 0);
}

TEST_F(ThreadFilter, ByName) {
  Workload workload({WORKLOAD_DIR "/oracle_glibc", "1", "3000"}, deadline);
  Tracer tracer({workload.pid()}, deadline, {"--thread", "oracle-worker", "--thread", "nobody"});
  const json truth = workload.go("1");
  const json report = tracer.snapshot();
  for (const json& thread : truth.at("threads"))
    if (thread.at("name") == "oracle-worker") expect_only(report, truth, thread);
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(workload.finish(), 0);
}

}  // namespace
}  // namespace alloctrail::test
