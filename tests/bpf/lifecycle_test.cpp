// SPDX-License-Identifier: Apache-2.0
// Targets that fork, exec, are killed, or lose their main thread while they are traced.
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "tests/support/kernel_test.h"
#include "tests/support/leftovers.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

class Lifecycle : public KernelTest {
 protected:
  Workload story(const std::string& name) { return Workload({WORKLOAD_DIR "/lifecycle", name}, deadline); }
};

TEST_F(Lifecycle, ForkedChildIsNotCounted) {
  Workload workload = story("fork");
  Tracer tracer({workload.pid()}, deadline);
  for (int phase = 0; phase < 3; ++phase) {
    const json truth = workload.go();
    expect_equals_truth(tracer.snapshot(), truth);
  }
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Lifecycle, VforkAndExecInTheChildLeaveTheParentExact) {
  Workload workload = story("vfork");
  Tracer tracer({workload.pid()}, deadline);
  const json truth = workload.go();
  expect_equals_truth(tracer.snapshot(), truth);
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Lifecycle, ExecDropsTheOldHeapAndTracesTheNewImage) {
  Workload workload = story("exec");
  Tracer tracer({workload.pid()}, deadline);
  json truth = workload.go();
  expect_equals_truth(tracer.snapshot(), truth);
  workload.go_without_truth();
  workload.wait_ready();
  EXPECT_EQ(tracer.next_report().at("end"), "execed");
  tracer.wait_hooked();
  truth = workload.go();
  expect_equals_truth(tracer.snapshot(), truth);
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Lifecycle, TargetThatExitsLeavesAFinalReport) {
  Workload workload = story("exit");
  Tracer tracer({workload.pid()}, deadline);
  const json truth = workload.go();
  EXPECT_EQ(workload.child().wait_exit(), 0);
  const Tracer::End end = tracer.wait_end();
  EXPECT_EQ(end.exit_code, 0) << end.error_text;
  ASSERT_EQ(end.reports.size(), 1U);
  EXPECT_EQ(end.reports.back().at("end"), "exited");
  expect_equals_truth(end.reports.back(), truth);
}

TEST_F(Lifecycle, KilledTargetLeavesAFinalReport) {
  Workload workload = story("allocate");
  Tracer tracer({workload.pid()}, deadline);
  const json truth = workload.go();
  workload.child().signal(SIGKILL);
  EXPECT_EQ(workload.child().wait_exit(), 128 + SIGKILL);
  const Tracer::End end = tracer.wait_end();
  EXPECT_EQ(end.exit_code, 0) << end.error_text;
  ASSERT_EQ(end.reports.size(), 1U);
  EXPECT_EQ(end.reports.back().at("end"), "exited");
  expect_equals_truth(end.reports.back(), truth);
}

TEST_F(Lifecycle, TargetThatExitsDuringReportsEndsTheRunCleanly) {
  for (int round = 0; round < 5; ++round) {
    Workload workload = story("exit");
    Tracer tracer({workload.pid()}, deadline, {"--interval", "10ms"});
    workload.go_without_truth();
    const Tracer::End end = tracer.wait_end();
    EXPECT_EQ(end.exit_code, 0) << end.error_text;
    ASSERT_FALSE(end.reports.empty());
    EXPECT_EQ(end.reports.back().at("end"), "exited");
    expect_conserved(end.reports.back());
  }
}

TEST_F(Lifecycle, ThreadsThatOutliveTheirLeaderAreTraced) {
  Workload workload = story("zombie_leader");
  wait_until_zombie(workload.pid(), deadline);
  Tracer tracer({workload.pid()}, deadline);
  const json truth = workload.go();
  expect_equals_truth(tracer.snapshot(), truth);
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Lifecycle, TerminatedTracerPrintsItsFinalReport) {
  Workload workload = story("allocate");
  Tracer tracer({workload.pid()}, deadline);
  const json truth = workload.go();
  tracer.child().signal(SIGTERM);
  const Tracer::End end = tracer.wait_end();
  EXPECT_EQ(end.exit_code, 0);
  ASSERT_EQ(end.reports.size(), 1U);
  EXPECT_EQ(end.reports.front().at("end"), "detached");
  expect_equals_truth(end.reports.front(), truth);
}

}  // namespace
}  // namespace alloctrail::test
