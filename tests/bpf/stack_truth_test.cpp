// SPDX-License-Identifier: Apache-2.0
// Stacks against the truth: programs that walk their own stacks with libgcc at every allocation. Every frame is equal.
#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <string>

#include "tests/support/kernel_test.h"
#include "tests/support/report.h"
#include "tests/support/stack_truth.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

/// One build of the programs, and how many of its stacks are not equal to what libgcc says, for reasons that are known.
struct Build {
  const char* program;
  uint64_t truncated = 0;   ///< the recursion that is deeper than a stack may be
  uint64_t unwalkable = 0;  ///< through code that nobody can walk
};

void PrintTo(const Build& build, std::ostream* out) {
  *out << build.program;
}

class StackTruthTest : public KernelTest {
 protected:
  static std::string path_of(const std::string& name) { return std::string(STACK_WORKLOAD_DIR "/") + name; }
};

class BuildStacks : public StackTruthTest, public ::testing::WithParamInterface<Build> {};

TEST_P(BuildStacks, EveryFrameIsEqual) {
  Workload workload({path_of(GetParam().program)}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  for (int pass = 0; pass < 2; ++pass) {
    const StackTruth truth = stack_truth_of(workload.go());
    const json report = tracer.snapshot();
    const StackComparison comparison = compare_stacks(report, truth);
    std::cout << comparison;
    const uint64_t passes = static_cast<uint64_t>(pass) + 1;
    EXPECT_GE(comparison.equal, 10U * passes);
    EXPECT_EQ(comparison.truncated, GetParam().truncated * passes);
    EXPECT_EQ(comparison.beyond + comparison.incomplete_blocks(), GetParam().unwalkable * passes);
    EXPECT_EQ(comparison.missing, 0U);
    EXPECT_EQ(comparison.wrong, 0U);
    expect_conserved(report);
  }
}

/// Nobody can walk through code without frame information, nor beyond the frame that glibc's makecontext() makes.
constexpr Build shapes(const char* name) {
  return {.program = name, .truncated = 1, .unwalkable = 2};
}

INSTANTIATE_TEST_SUITE_P(, BuildStacks,
                         ::testing::Values(shapes("stacks_O0"), shapes("stacks_O1"), shapes("stacks_O2"),
                                           shapes("stacks_O3"), shapes("stacks_debug"), shapes("stacks_framed"),
                                           shapes("stacks_stripped"), shapes("stacks_static_pie"),
                                           Build{"stacks_cxx_O0"}, Build{"stacks_cxx_O2"}, Build{"stacks_cxx_O3"},
                                           Build{"stacks_cxx_debug"}),
                         [](const ::testing::TestParamInfo<Build>& info) { return std::string(info.param.program); });

// musl has no unwind information: libgcc ends where the program calls it or is called by it. We go on by frame pointers,
// and where that leads nowhere we say so.
TEST_F(StackTruthTest, OnMuslStacksAreRightAsFarAsLibgccWalks) {
  Workload workload({path_of("stacks_musl")}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  const StackTruth truth = stack_truth_of(workload.go());
  const StackComparison comparison = compare_stacks(tracer.snapshot(), truth);
  std::cout << comparison;
  EXPECT_EQ(comparison.missing, 0U);
  EXPECT_EQ(comparison.wrong, 0U);
}

// In a circle up to the limit of frames, backwards, and to where no memory is: each walk ends and is counted, and the
// allocations are all there.
TEST_F(StackTruthTest, FrameInformationThatLiesEndsTheWalk) {
  constexpr size_t kFrameLimit = 256;
  Workload workload({path_of("stacks_lies")}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  const json truth = workload.go();
  const json report = tracer.snapshot();
  expect_equals_truth(report, truth);
  std::map<std::string, size_t> frames;
  for (const json& site : report.at("sites")) frames[site.at("stack_status")] = site.at("stack").size();
  const std::map<std::string, size_t> expected{{"truncated", kFrameLimit}, {"unsupported", 3}, {"fault", 3}};
  EXPECT_EQ(frames, expected) << report.at("sites");
  for (const char* counter : {"walk_truncated_calls", "walk_unsupported_calls", "walk_fault_calls"})
    EXPECT_EQ(counted(report, counter), 1U) << counter;
}

class Plugins : public StackTruthTest {
 protected:
  json go(const std::string& line) { return truth_ = workload.go(line); }
  /// Asking for a report makes the tracer take in what it has been told of, such as loaded libraries.
  StackComparison compare() { return compare_stacks(tracer.snapshot(), stack_truth_of(truth_)); }

  Workload workload{{path_of("stacks_plugins"), path_of("stacks_plugin_64.so"), path_of("stacks_plugin_4096.so")},
                    deadline};
  Tracer tracer{{workload.pid()}, deadline};

 private:
  json truth_;
};

TEST_F(Plugins, LibrariesAtTheSameAddressHaveTheirOwnStacks) {
  for (int round = 0; round < 6; ++round) {
    go("load " + std::to_string(round));
    tracer.snapshot();
    go("call");
    go("unload");
    tracer.snapshot();
  }
  const StackComparison comparison = compare();
  std::cout << comparison;
  EXPECT_EQ(comparison.equal, 6U);
  EXPECT_EQ(comparison.compared(), 6U);
  EXPECT_EQ(comparison.wrong, 0U);
}

TEST_F(Plugins, WhatAllocatesBeforeItsTablesAreThereIsIncompleteAndNeverWrong) {
  go("storm 100");
  const StackComparison comparison = compare();
  std::cout << comparison;
  EXPECT_EQ(comparison.wrong, 0U);
  EXPECT_EQ(comparison.missing, 0U);
  EXPECT_EQ(comparison.compared(), 200U);
}

}  // namespace
}  // namespace alloctrail::test
