// SPDX-License-Identifier: Apache-2.0
// Every allocator function in every variant: the report equals what the program itself knows it did.
#include <gtest/gtest.h>

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

/// The report of one phase of a workload, taken at the quiet point after it, and the truth about it.
struct Phase {
  json truth;
  json report;
};

class AllocatorCall : public KernelTest, public ::testing::WithParamInterface<const char*> {
 protected:
  Phase traced_phase(const std::string& program, const std::vector<std::string>& environment = {}) {
    Workload workload(ChildOptions{.arguments = {WORKLOAD_DIR "/" + program, GetParam()}, .environment = environment},
                      deadline);
    Tracer tracer({workload.pid()}, deadline);
    Phase phase;
    phase.truth = workload.go();
    phase.report = tracer.snapshot();
    EXPECT_EQ(tracer.finish().exit_code, 0);
    EXPECT_EQ(changed_text(workload.pid()), std::vector<std::string>{});
    EXPECT_EQ(workload.finish(), 0);
    return phase;
  }
};

std::string parameter_name(const ::testing::TestParamInfo<const char*>& info) {
  return info.param;
}

class CAllocatorCall : public AllocatorCall {};

TEST_P(CAllocatorCall, IsAccountedExactly) {
  const Phase phase = traced_phase("cases");
  expect_equals_truth(phase.report, phase.truth);
  EXPECT_EQ(outstanding_of_function(phase.report, std::string("case_") + GetParam()),
            amount(phase.report.at("totals"), "outstanding"));
}

INSTANTIATE_TEST_SUITE_P(, CAllocatorCall,
                         ::testing::Values("malloc_small", "malloc_zero", "malloc_large", "malloc_fails",
                                           "calloc_small", "calloc_zero", "calloc_overflows", "realloc_null",
                                           "realloc_grows", "realloc_shrinks", "realloc_moves", "realloc_remaps",
                                           "realloc_fails", "realloc_zero", "realloc_older", "reallocarray_good",
                                           "reallocarray_overflows", "posix_memalign_good",
                                           "posix_memalign_bad_alignment", "posix_memalign_too_large",
                                           "aligned_alloc_good", "aligned_alloc_fails", "memalign_good", "valloc_good",
                                           "pvalloc_good", "strdup_copies", "getline_grows", "free_all", "free_null",
                                           "free_older", "address_reused", "nothing_happens"),
                         parameter_name);

class CppAllocatorCall : public AllocatorCall {
 protected:
  static void expect_new_and_delete_exact(const Phase& phase) {
    expect_equals_truth(phase.report, phase.truth);
    EXPECT_EQ(outstanding_of_function(phase.report, std::string("(anonymous namespace)::case_") + GetParam()),
              amount(phase.report.at("totals"), "outstanding"));
  }
};

TEST_P(CppAllocatorCall, IsAccountedExactlyInLibstdcxx) {
  expect_new_and_delete_exact(traced_phase("cases_new"));
}
TEST_P(CppAllocatorCall, IsAccountedExactlyInJemalloc) {
  expect_new_and_delete_exact(traced_phase("cases_new", {"LD_PRELOAD=" JEMALLOC_SHARED}));
}
TEST_P(CppAllocatorCall, IsAccountedExactlyInTcmalloc) {
  expect_new_and_delete_exact(traced_phase("cases_new", {"LD_PRELOAD=" TCMALLOC_MINIMAL_SHARED}));
}
TEST_P(CppAllocatorCall, IsAccountedExactlyInMimalloc) {
  expect_new_and_delete_exact(traced_phase("cases_new", {"LD_PRELOAD=" MIMALLOC_SHARED}));
}

INSTANTIATE_TEST_SUITE_P(, CppAllocatorCall,
                         ::testing::Values("new_plain", "new_array", "new_nothrow", "new_aligned",
                                           "new_aligned_nothrow", "delete_sized", "delete_null"),
                         parameter_name);

/// Exceptions are blocks of their own, made and freed on the way (in libstdc++ by the form that does not throw, too),
/// so only what is left and what was lost is compared; that the program answers at all says that it survived its caught
/// exceptions. (mimalloc's operator new, compiled as C, aborts instead of throwing.)
class ThrowingNew : public AllocatorCall {
 protected:
  static void expect_survived_exactly(const Phase& phase) {
    Amount expected;
    for (const json& thread : phase.truth.at("threads")) expected += amount(thread, "outstanding");
    EXPECT_EQ(amount(phase.report.at("totals"), "outstanding"), expected);
    EXPECT_GE(counted(phase.report, "failed_calls"), phase.truth.at("failed_calls").get<uint64_t>());
    expect_conserved(phase.report);
    expect_nothing_lost(phase.report);
  }
};

TEST_P(ThrowingNew, IsCaughtAsBeforeInLibstdcxx) {
  expect_survived_exactly(traced_phase("cases_new"));
}
TEST_P(ThrowingNew, IsCaughtAsBeforeInJemalloc) {
  expect_survived_exactly(traced_phase("cases_new", {"LD_PRELOAD=" JEMALLOC_SHARED}));
}
TEST_P(ThrowingNew, IsCaughtAsBeforeInTcmalloc) {
  expect_survived_exactly(traced_phase("cases_new", {"LD_PRELOAD=" TCMALLOC_MINIMAL_SHARED}));
}

INSTANTIATE_TEST_SUITE_P(, ThrowingNew, ::testing::Values("new_throws", "new_nothrow_fails", "new_handler_retries"),
                         parameter_name);

}  // namespace
}  // namespace alloctrail::test
