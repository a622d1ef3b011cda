// SPDX-License-Identifier: Apache-2.0
// report --growth: every page fault of a program that touches memory in a known way, by thread, stack and kind of
// range.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tests/support/kernel_test.h"
#include "tests/support/leftovers.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

constexpr uint64_t kPage = 4096;

/// A sum over the sites with this function on their stack.
uint64_t faults_of(const json& report, std::string_view function, std::string_view kind,
                   const char* figure = "faults") {
  uint64_t sum = 0;
  for (const json& site : report.at("faults")) {
    if (!kind.empty() && site.at("kind") != kind) continue;
    for (const json& frame : site.at("stack"))
      if (frame.at("function") == function) {
        sum += site.at(figure).get<uint64_t>();
        break;
      }
  }
  return sum;
}

/// Nothing may be hidden: what the kernel counted is in the sites, and all rows add up to it.
void expect_all_in_sites(const json& report) {
  const json& account = report.at("fault_accounting");
  EXPECT_EQ(account.at("interval"), 1);
  EXPECT_EQ(account.at("counted"), account.at("sampled")) << account;
  EXPECT_EQ(account.at("sampled"), account.at("in_sites")) << account;
  for (const char* loss : {"missed", "lost", "unsampled", "lost_state", "lost_site_full", "uncertain_threads"})
    EXPECT_EQ(account.at(loss), 0) << loss;
  uint64_t sites = 0;
  uint64_t threads = 0;
  uint64_t kinds = 0;
  for (const json& site : report.at("faults")) sites += site.at("faults").get<uint64_t>();
  for (const json& thread : report.at("touched").at("threads")) threads += thread.at("faults").get<uint64_t>();
  for (const json& kind : report.at("touched").at("kinds")) kinds += kind.at("faults").get<uint64_t>();
  EXPECT_EQ(sites, account.at("counted"));
  EXPECT_EQ(threads, account.at("counted"));
  EXPECT_EQ(kinds, account.at("counted"));
  EXPECT_EQ(report.at("touched").at("faults"), account.at("counted"));
}

class Growth : public KernelTest {
 protected:
  /// One phase; checks that the faults it took are those that the kernel counted for the process, one by one.
  json after(const std::string& phase) {
    const uint64_t kernel_before = kernel_faults_;
    const uint64_t ours_before = ours_;
    kernel_faults_ = workload.go(phase).at("faults");
    json report = tracer.snapshot();
    ours_ = report.at("fault_accounting").at("counted");
    EXPECT_EQ(ours_ - ours_before, kernel_faults_ - kernel_before) << phase;
    expect_all_in_sites(report);
    return report;
  }

  /// Rss of /proc/PID/smaps_rollup, which is exact.
  [[nodiscard]] uint64_t resident() const {
    std::ifstream rollup("/proc/" + std::to_string(workload.pid()) + "/smaps_rollup");
    for (std::string word; rollup >> word;)
      if (uint64_t kib = 0; word == "Rss:" && rollup >> kib) return kib * 1024;
    return 0;
  }

  void SetUp() override {
    KernelTest::SetUp();
    // Pages of code and of the answer's buffers are there after the first two answers.
    for (int i = 0; i < 2; ++i) kernel_faults_ = workload.go("nothing").at("faults");
    ours_ = tracer.snapshot().at("fault_accounting").at("counted");
  }

  Workload workload{{WORKLOAD_DIR "/touch"}, deadline};
  Tracer tracer{{workload.pid()}, deadline, {"--growth", "--fault-interval", "1"}};
  uint64_t kernel_faults_ = 0;
  uint64_t ours_ = 0;
};

TEST_F(Growth, OfAGibibyteMappedOnlyThePagesTouchedCount) {
  const json report = after("reserve 2560");
  EXPECT_EQ(faults_of(report, "touch_by_write", "other_anonymous"), 2560U);
  EXPECT_EQ(faults_of(report, "touch_by_write", "other_anonymous", "touched_bytes"), 2560 * kPage);
  EXPECT_EQ(faults_of(report, "touch_by_write", ""), 2560U);
  EXPECT_GE(report.at("process").at("vm_size_bytes"), 1ull << 30);
  EXPECT_TRUE(report.at("probes").empty()) << "no allocator may be probed";
  EXPECT_TRUE(report.at("sites").empty());
}

TEST_F(Growth, TouchedBytesAreTheResidentMemoryThatCame) {
  const uint64_t touched_before = tracer.snapshot().at("touched").at("touched_bytes");
  const uint64_t resident_before = resident();
  const json report = after("reserve 16384");
  const double touched = report.at("touched").at("touched_bytes").get<double>() - static_cast<double>(touched_before);
  const auto grown = static_cast<double>(resident() - resident_before);
  EXPECT_GE(grown, 16384.0 * kPage);
  EXPECT_NEAR(touched, grown, 0.01 * grown);
}

TEST_F(Growth, PagesThatAreOnlyReadAreTouchedAndNotResident) {
  const uint64_t resident_before = resident();
  const json report = after("read 4096");
  EXPECT_EQ(faults_of(report, "touch_by_read", "other_anonymous"), 4096U);
  EXPECT_LT(resident(), resident_before + 100 * kPage);
}

TEST_F(Growth, WhatWasGivenBackCountsAgain) {
  after("reserve 1000");
  const json report = after("again 600");
  EXPECT_EQ(faults_of(report, "touch_by_write", "other_anonymous"), 1600U);
}

TEST_F(Growth, PagesThatTheKernelTouchesBelongToTheSystemCallsCaller) {
  const json report = after("syscall 512");
  EXPECT_EQ(faults_of(report, "touch_by_system_call", "other_anonymous"), 512U);
}

TEST_F(Growth, MainStackHeapAndSharedMemoryAreKindsOfTheirOwn) {
  EXPECT_GE(faults_of(after("stack 300"), "touch_stack", "main_stack"), 290U);
  EXPECT_EQ(faults_of(after("heap 200"), "touch_heap", "heap"), 200U);
  EXPECT_EQ(faults_of(after("shared 100"), "touch_shared", "shared"), 100U);
}

TEST_F(Growth, ThreadStartedAfterTheAttachIsSeenFromItsFirstFault) {
  const json report = after("thread 2000");
  uint64_t of_thread = 0;
  for (const json& thread : report.at("touched").at("threads"))
    if (thread.at("name") == "toucher") {
      of_thread += thread.at("faults").get<uint64_t>();
      EXPECT_FALSE(thread.at("alive").get<bool>());
    }
  EXPECT_GE(of_thread, 2000U);
  EXPECT_LE(of_thread, 2020U);
  EXPECT_EQ(faults_of(report, "toucher", "other_anonymous"), 2000U);
}

TEST_F(Growth, ForkedChildIsNotTraced) {
  after("reserve 400");
  const json report = after("child 400");  // the child's copies are its own faults, and not in getrusage(RUSAGE_SELF)
  EXPECT_EQ(faults_of(report, "touch_by_write", ""), 400U);
}

TEST_F(Growth, AHugePageIsOneFaultOfTwoMebibytes) {
  std::string enabled;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), enabled);
  if (enabled.find("[never]") != std::string::npos) GTEST_SKIP() << "transparent huge pages are off";
  const uint64_t resident_before = resident();
  after("huge 8");
  // What a page of a range has is known when the ranges have been looked at anew, which they are not for each report.
  json report = tracer.snapshot();
  const auto pages = [&] { return faults_of(report, "touch_huge", "other_anonymous", "touched_bytes"); };
  for (const uint64_t grown = resident() - resident_before; pages() < grown * 99 / 100;) report = tracer.snapshot();
  EXPECT_EQ(faults_of(report, "touch_huge", "other_anonymous"), 8U);
  EXPECT_EQ(pages(), 8ull << 21);
}

TEST_F(Growth, KilledTracerLeavesNoEventBehind) {
  after("reserve 100");
  const auto objects = bpf_objects_of(tracer.pid());
  EXPECT_FALSE(objects.empty());
  tracer.child().signal(SIGKILL);
  tracer.child().wait_exit();
  wait_until_gone(objects, deadline);
  EXPECT_GT(workload.go("reserve 100").at("faults"), kernel_faults_);
}

class GrowthSampled : public KernelTest {};

TEST_F(GrowthSampled, EachSampleStandsForItsIntervalAndTheTotalIsExact) {
  Workload workload({WORKLOAD_DIR "/touch"}, deadline);
  Tracer tracer({workload.pid()}, deadline, {"--growth"});
  const uint64_t before = workload.go("nothing").at("faults");
  const uint64_t ours_before = tracer.snapshot().at("fault_accounting").at("counted");
  const uint64_t faults = workload.go("reserve 12200").at("faults").get<uint64_t>() - before;
  const json report = tracer.snapshot();
  const json& account = report.at("fault_accounting");
  EXPECT_EQ(account.at("interval"), 61);
  EXPECT_EQ(account.at("counted").get<uint64_t>() - ours_before, faults);
  EXPECT_EQ(account.at("sampled"), account.at("counted").get<uint64_t>() / 61);
  EXPECT_EQ(account.at("in_sites"), account.at("sampled"));
  EXPECT_EQ(account.at("missed"), 0);
  EXPECT_NEAR(static_cast<double>(faults_of(report, "touch_by_write", "other_anonymous")), 12200.0, 61.0);
}

TEST_F(GrowthSampled, ThreadsStartedWithoutPauseWhileAttachingAreCountedOnceOrNamedUncertain) {
  Workload workload({WORKLOAD_DIR "/touch"}, deadline);
  workload.go("churn 16");
  Tracer tracer({workload.pid()}, deadline, {"--growth", "--fault-interval", "1"});
  workload.go("settle");
  const json report = tracer.snapshot();
  const json& account = report.at("fault_accounting");
  EXPECT_EQ(account.at("counted"), account.at("sampled")) << account;
  EXPECT_EQ(account.at("sampled"), account.at("in_sites")) << account;
  // A thread that counted twice would show more faults than it has pages and stack.
  for (const json& thread : report.at("touched").at("threads"))
    if (thread.at("tid") != workload.pid() && !thread.at("alive").get<bool>()) {
      EXPECT_LE(thread.at("faults").get<uint64_t>(), 16 + 12U) << thread;
    }
}

class GrowthCommand : public KernelTest {};

TEST_F(GrowthCommand, StartedByUsItIsWatchedFromItsFirstInstruction) {
  Child tracer({.arguments = {Tracer::binary(), "report", "--growth", "--fault-interval", "1", "--json-lines", "-i",
                              "1h", "--", "/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=8M", "count=1"}},
               deadline);
  EXPECT_EQ(tracer.wait_exit(), 0) << tracer.error_text();
  const auto lines = tracer.take_lines();
  ASSERT_FALSE(lines.empty()) << tracer.error_text();
  const json report = json::parse(lines.back());
  EXPECT_EQ(report.at("end"), "exited");
  expect_all_in_sites(report);
  EXPECT_GE(report.at("touched").at("kinds").at("file").at("faults"), 10);
  EXPECT_GE(report.at("touched").at("faults").get<uint64_t>(), (8u << 20) / kPage);
}

TEST_F(GrowthCommand, ProgramWithoutAllocatorCanBeWatched) {
  Child program({.arguments = {WORKLOAD_DIR "/no_allocator"}}, deadline);
  Tracer tracer({program.pid()}, deadline, {"--growth"});
  EXPECT_EQ(tracer.snapshot().at("fault_accounting").at("missed"), 0);
  EXPECT_EQ(tracer.finish().exit_code, 0);
  program.signal(SIGKILL);
  program.wait_exit();
}

TEST_F(GrowthCommand, WhatAsksForBlocksIsAUsageError) {
  Child tracer({.arguments = {Tracer::binary(), "report", "--growth", "--older", "1m", "-p", "1"}}, deadline);
  EXPECT_EQ(tracer.wait_exit(), 2);
  EXPECT_NE(tracer.error_text().find("--growth knows page faults, not blocks"), std::string::npos);
}

}  // namespace
}  // namespace alloctrail::test
