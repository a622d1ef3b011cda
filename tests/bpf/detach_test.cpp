// SPDX-License-Identifier: Apache-2.0
// Nothing is left behind, however the tracer ends: no breakpoint in the target's text, no BPF object, no changed
// result.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include "tests/support/kernel_test.h"
#include "tests/support/leftovers.h"
#include "tests/support/report.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

class Detach : public KernelTest {
 protected:
  void expect_untouched(const std::vector<BpfObjectId>& objects) {
    EXPECT_FALSE(objects.empty());
    wait_until_gone(objects, deadline);
    EXPECT_EQ(changed_text(workload.pid()), std::vector<std::string>{});
  }

  Workload workload{{WORKLOAD_DIR "/oracle_glibc", "4", "20000"}, deadline};
};

TEST_F(Detach, AttachedTargetHasBreakpointsInItsText) {
  Tracer tracer({workload.pid()}, deadline);
  EXPECT_NE(changed_text(workload.pid()), std::vector<std::string>{});
}

TEST_F(Detach, AfterAnInterruptNothingIsLeft) {
  Tracer tracer({workload.pid()}, deadline);
  const std::vector<BpfObjectId> objects = bpf_objects_of(tracer.pid());
  EXPECT_EQ(tracer.finish().exit_code, 0);
  expect_untouched(objects);
}

TEST_F(Detach, AfterAKillUnderLoadNothingIsLeftAndTheTargetGoesOn) {
  Tracer tracer({workload.pid()}, deadline);
  const std::vector<BpfObjectId> objects = bpf_objects_of(tracer.pid());
  workload.go_without_truth("1");
  tracer.child().signal(SIGKILL);
  EXPECT_EQ(tracer.child().wait_exit(), 128 + SIGKILL);
  expect_untouched(objects);
  EXPECT_FALSE(json::parse(workload.child().read_line()).at("threads").empty());
  EXPECT_EQ(workload.finish(), 0);
}

/// The kernel leaves breakpoints behind when their remover is killed meanwhile, so the kill comes at many moments of it.
TEST_F(Detach, AKillInTheMiddleOfDetachingLeavesNothing) {
  for (int round = 0; round < 12; ++round) {
    Tracer tracer({workload.pid()}, deadline);
    const std::vector<BpfObjectId> objects = bpf_objects_of(tracer.pid());
    tracer.child().signal(SIGINT);
    const auto moment = std::chrono::steady_clock::now() + std::chrono::milliseconds(4 * round);
    while (std::chrono::steady_clock::now() < moment) {
    }
    tracer.child().signal(SIGKILL);
    (void)tracer.child().wait_exit();
    expect_untouched(objects);
  }
}

TEST_F(Detach, DetachUnderLoadLeavesNothingAndLosesNoCount) {
  Tracer tracer({workload.pid()}, deadline);
  const std::vector<BpfObjectId> objects = bpf_objects_of(tracer.pid());
  workload.go_without_truth("1");
  const Tracer::End end = tracer.finish();
  EXPECT_EQ(end.exit_code, 0);
  ASSERT_EQ(end.reports.size(), 1U);
  EXPECT_TRUE(end.reports.front().at("accounting").at("balanced").get<bool>()) << end.reports.front().at("accounting");
  expect_untouched(objects);
  EXPECT_FALSE(json::parse(workload.child().read_line()).at("threads").empty());
  EXPECT_EQ(workload.finish(), 0);
}

TEST_F(Detach, TwoTracersOnOneTargetAreBothExact) {
  Tracer first({workload.pid()}, deadline);
  Tracer second({workload.pid()}, deadline);
  json truth = workload.go("1");
  expect_equals_truth(first.snapshot(), truth);
  expect_equals_truth(second.snapshot(), truth);
  const std::vector<BpfObjectId> objects = bpf_objects_of(first.pid());
  EXPECT_EQ(first.finish().exit_code, 0);
  wait_until_gone(objects, deadline);
  truth = workload.go("2");
  expect_equals_truth(second.snapshot(), truth);
  EXPECT_EQ(second.finish().exit_code, 0);
  EXPECT_EQ(changed_text(workload.pid()), std::vector<std::string>{});
}

TEST_F(Detach, TenAttachesInARowLeaveNothing) {
  for (int round = 0; round < 10; ++round) {
    Tracer tracer({workload.pid()}, deadline);
    EXPECT_EQ(tracer.finish().exit_code, 0);
    EXPECT_EQ(changed_text(workload.pid()), std::vector<std::string>{});
  }
}

TEST_F(Detach, AttachUnderLoadIsBalancedAndDoesNotDisturb) {
  workload.go_without_truth("1");
  Tracer tracer({workload.pid()}, deadline);
  const json truth = json::parse(workload.child().read_line());
  const json report = tracer.snapshot();
  const Amount live = amount(report.at("totals"), "outstanding");
  EXPECT_TRUE(report.at("accounting").at("balanced").get<bool>()) << report.at("accounting");
  expect_conserved(report);
  Amount whole;
  for (const json& thread : truth.at("threads")) whole += amount(thread, "outstanding");
  EXPECT_LE(live.blocks, whole.blocks);
  EXPECT_LE(live.bytes, whole.bytes);
  workload.go("free");
  EXPECT_EQ(amount(tracer.snapshot().at("totals"), "outstanding"), Amount{});
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(changed_text(workload.pid()), std::vector<std::string>{});
}

TEST_F(Detach, TracerThatWasStoppedForAWhileHasMissedNothing) {
  Tracer tracer({workload.pid()}, deadline);
  tracer.child().signal(SIGSTOP);
  const json truth = workload.go("1");
  tracer.child().signal(SIGCONT);
  expect_equals_truth(tracer.snapshot(), truth);
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

}  // namespace
}  // namespace alloctrail::test
