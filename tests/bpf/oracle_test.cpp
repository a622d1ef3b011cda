// SPDX-License-Identifier: Apache-2.0
// The seeded random allocator program under every allocator, linked in every way: equal in every figure, for each seed.
#include <gtest/gtest.h>

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

/// One way of being linked to one allocator.
struct Build {
  const char* name;
  const char* program;
  const char* preload;  ///< null: nothing
};

void PrintTo(const Build& build, std::ostream* out) {
  *out << build.name;
}

class Oracle : public KernelTest {
 protected:
  /// Compares report and truth after each seed's steps, and once more after everything was freed.
  void expect_exact(const Build& build, int threads, int seeds, const std::string& operations,
                    const std::vector<std::string>& tracer_options = {}) {
    ChildOptions options{
        .arguments = {std::string(WORKLOAD_DIR "/") + build.program, std::to_string(threads), operations}};
    if (build.preload != nullptr) options.environment = {std::string("LD_PRELOAD=") + build.preload};
    Workload workload(options, deadline);
    Tracer tracer({workload.pid()}, deadline, tracer_options);
    for (int seed = 1; seed <= seeds && !HasFailure(); ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      const json truth = workload.go(std::to_string(seed));
      expect_equals_truth(tracer.snapshot(), truth);
    }
    const json truth = workload.go("free");
    const json report = tracer.snapshot();
    expect_equals_truth(report, truth);
    EXPECT_EQ(amount(report.at("totals"), "outstanding"), Amount{});
    EXPECT_EQ(tracer.finish().exit_code, 0);
    EXPECT_EQ(workload.finish(), 0);
  }
};

constexpr Build kGlibc{"glibc", "oracle_glibc", nullptr};

TEST_F(Oracle, TwentySeedsOnOneThreadAreExact) {
  expect_exact(kGlibc, 1, 20, "5000");
}
TEST_F(Oracle, TwentySeedsOnFourContendingThreadsAreExact) {
  expect_exact(kGlibc, 4, 20, "2500");
}

class OracleBuild : public Oracle, public ::testing::WithParamInterface<Build> {};

TEST_P(OracleBuild, IsExactOnOneThread) {
  expect_exact(GetParam(), 1, 2, "4000");
}
TEST_P(OracleBuild, IsExactOnFourThreads) {
  expect_exact(GetParam(), 4, 2, "2000");
}

INSTANTIATE_TEST_SUITE_P(
    , OracleBuild,
    ::testing::Values(Build{"glibc_static", "oracle_glibc_static", nullptr},
                      Build{"jemalloc_linked", "oracle_jemalloc", nullptr},
                      Build{"jemalloc_static", "oracle_jemalloc_static", nullptr},
                      Build{"jemalloc_preloaded", "oracle_preload", JEMALLOC_SHARED},
                      Build{"tcmalloc_linked", "oracle_tcmalloc", nullptr},
                      Build{"tcmalloc_static", "oracle_tcmalloc_static", nullptr},
                      Build{"tcmalloc_preloaded", "oracle_preload", TCMALLOC_SHARED},
                      Build{"tcmalloc_minimal_linked", "oracle_tcmalloc_minimal", nullptr},
                      Build{"tcmalloc_minimal_static", "oracle_tcmalloc_minimal_static", nullptr},
                      Build{"tcmalloc_minimal_preloaded", "oracle_preload", TCMALLOC_MINIMAL_SHARED},
                      Build{"mimalloc_linked", "oracle_mimalloc", nullptr},
                      Build{"mimalloc_preloaded", "oracle_preload", MIMALLOC_SHARED},
                      Build{"musl", "oracle_musl", nullptr}, Build{"musl_static", "oracle_musl_static", nullptr}),
    [](const ::testing::TestParamInfo<Build>& info) { return std::string(info.param.name); });

class ProbeKind : public Oracle, public ::testing::WithParamInterface<const char*> {};

TEST_P(ProbeKind, IsExactOnGlibc) {
  expect_exact(kGlibc, 4, 3, "2000", {"--probe-kind", GetParam()});
}
TEST_P(ProbeKind, IsExactOnTcmallocsOwnNew) {
  expect_exact({"tcmalloc", "oracle_tcmalloc_minimal", nullptr}, 4, 3, "2000", {"--probe-kind", GetParam()});
}

INSTANTIATE_TEST_SUITE_P(, ProbeKind, ::testing::Values("session", "multi", "perf"),
                         [](const ::testing::TestParamInfo<const char*>& info) { return std::string(info.param); });

}  // namespace
}  // namespace alloctrail::test
