// SPDX-License-Identifier: Apache-2.0
// Every probe site alloctrail chooses, for each function of each allocator: of a million calls from four threads, a program
// on that site sees each once, at its entry and at its return, with the arguments and the caller where they should be.
#include <gtest/gtest.h>

#include <memory>
#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "alloctrail/probe.h"
#include "tests/support/allocator_modules.h"
#include "tests/support/kernel_test.h"
#include "tests/support/leftovers.h"
#include "tests/support/workload.h"
#include "user/kernel/probe_link.h"

#include "site_counter.skel.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

constexpr uint64_t kCalls = 1'000'000;
constexpr const char* kThreads = "4";

struct SkeletonDeleter {
  void operator()(site_counter_bpf* skeleton) const { site_counter_bpf::destroy(skeleton); }
};

/// The counting program, attached to one function's probes while it lives.
class SiteCounter {
 public:
  SiteCounter(const AllocatorModule& module, const std::string& function, const json& caller, pid_t pid)
      : kind_(need(best_probe_kind())), skeleton_(site_counter_bpf::open(nullptr)) {
    bpf_program__set_expected_attach_type(skeleton_->progs.count_site,
                                          static_cast<bpf_attach_type>(expected_attach_type(kind_)));
    if (site_counter_bpf::load(skeleton_.get()) != 0) throw std::runtime_error("the counting program does not load");
    skeleton_->bss->caller_from = caller.at("from");
    skeleton_->bss->caller_to = caller.at("to");
    collect(module.plan, function);
    attach(module, ProbeSide::Entry, entries_, pid);
    attach(module, ProbeSide::Return, returns_, pid);
  }

  [[nodiscard]] const site_counter_bpf::site_counter_bpf__bss& counted() const { return *skeleton_->bss; }

 private:
  /// What Tracer makes of a plan. Functions that end in one another share return instructions: all of those are taken.
  void collect(const ModulePlan& plan, const std::string& function) {
    for (const PlannedProbe& probe : plan.probes) {
      if (probe.moment == ProbeMoment::ReturnSite)
        add(entries_, probe, AT_PHASE_RETURN);
      else if (probe.function != function)
        continue;
      else if (probe.moment == ProbeMoment::Entry)
        add(entries_, probe, AT_PHASE_ENTRY);
      else if (kind_ == ProbeKind::Session)
        add(entries_, probe, AT_PHASE_BOTH);
      else
        add(entries_, probe, AT_PHASE_ENTRY), add(returns_, probe, AT_PHASE_RETURN);
    }
  }
  void add(std::vector<ProbePoint>& points, const PlannedProbe& probe, at_phase phase) const {
    const uint32_t flags = probe.flags | (kind_ == ProbeKind::Session ? AT_PROBE_SESSION : 0u);
    points.push_back({.file_offset = probe.file_offset,
                      .cookie = AT_COOKIE(0, 0, probe.shape, phase, flags, probe.pushed_bytes)});
  }
  void attach(const AllocatorModule& module, ProbeSide side, const std::vector<ProbePoint>& points, pid_t pid) {
    const int program = bpf_program__fd(skeleton_->progs.count_site);
    for (UniqueFd& link : need(attach_probes(kind_, side, program, module.file.get(), Tid(static_cast<uint32_t>(pid)), points)).links)
      links_.push_back(std::move(link));
  }

  ProbeKind kind_;
  std::unique_ptr<site_counter_bpf, SkeletonDeleter> skeleton_;
  std::vector<ProbePoint> entries_, returns_;
  std::vector<UniqueFd> links_;
};

size_t arguments_of(at_shape shape) {
  switch (shape) {
    case AT_SHAPE_SIZE:
    case AT_SHAPE_FREE:
      return 1;
    case AT_SHAPE_OUT_ALIGN_SIZE:
    case AT_SHAPE_REALLOC_ARRAY:
      return 3;
    default:
      return 2;
  }
}

/// An allocator, as the library that is preloaded; without one, the program's own.
struct Allocator {
  const char* name;
  const char* program = "million_calls";
  const char* preload = nullptr;
};

void PrintTo(const Allocator& allocator, std::ostream* out) {
  *out << allocator.name;
}

class MillionCalls : public KernelTest, public ::testing::WithParamInterface<Allocator> {
 protected:
  static std::vector<std::string> environment() {
    if (GetParam().preload == nullptr) return {};
    return {std::string("LD_PRELOAD=") + GetParam().preload};
  }
  /// What every allocator has, and jemalloc's own; of other functions there are too many, with arguments of their own.
  static bool is_driven(const std::string& function) {
    static const std::set<std::string> names = {"malloc", "free", "cfree", "calloc", "realloc", "reallocarray",
                                                "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc",
                                                "free_sized", "free_aligned_sized", "mallocx", "rallocx", "dallocx",
                                                "sdallocx"};
    return names.contains(function) || (function.starts_with("_Z") && function.find("hot_cold") == std::string::npos);
  }

  void expect_each_call_counted(const AllocatorModule& module, const PlannedProbe& probe) {
    const std::string command = probe.function + " " + std::to_string(probe.shape) + " ";
    const json caller = workload.go(command + "0");
    const SiteCounter counter(module, probe.function, caller, workload.pid());
    const json truth = workload.go(command + std::to_string(kCalls));
    EXPECT_EQ(counter.counted().entries, kCalls);
    EXPECT_EQ(counter.counted().entries_from_elsewhere, 0U);
    EXPECT_EQ(counter.counted().returns, probe.shape == AT_SHAPE_FREE ? 0 : kCalls);
    for (size_t i = 0; i < arguments_of(probe.shape); ++i)
      EXPECT_EQ(counter.counted().arguments[i], truth.at("arguments").at(i).get<uint64_t>()) << "argument " << i;
  }

  Deadline deadline{std::chrono::seconds(900)};
  Workload workload{ChildOptions{.arguments = {std::string(WORKLOAD_DIR "/") + GetParam().program, kThreads},
                                 .environment = environment()},
                    deadline};
};

TEST_P(MillionCalls, OfEachFunctionAreEachSeenOnce) {
  const std::vector<AllocatorModule> modules = allocator_modules_of(workload.pid());
  ASSERT_FALSE(modules.empty());
  const auto serving = std::ranges::find_if(modules, [](const AllocatorModule& one) {
    return GetParam().preload == nullptr || one.path == std::filesystem::canonical(GetParam().preload);
  });
  ASSERT_NE(serving, modules.end()) << modules.front().path;
  const AllocatorModule& module = *serving;
  size_t driven = 0;
  for (const PlannedProbe& probe : module.plan.probes) {
    if (probe.moment == ProbeMoment::ReturnSite || !is_driven(probe.function)) continue;
    SCOPED_TRACE(module.path + ": " + probe.function + " " + probe.reason);
    expect_each_call_counted(module, probe);
    ++driven;
  }
  EXPECT_GE(driven, 6U);  // mimalloc has no more under these names
  EXPECT_EQ(workload.finish(), 0);
}

INSTANTIATE_TEST_SUITE_P(, MillionCalls,
                         ::testing::Values(Allocator{.name = "Glibc"},
                                           Allocator{.name = "Musl", .program = "million_calls_musl"},
                                           Allocator{.name = "Jemalloc", .preload = JEMALLOC_SHARED},
                                           Allocator{.name = "Tcmalloc", .preload = TCMALLOC_SHARED},
                                           Allocator{.name = "Mimalloc", .preload = MIMALLOC_SHARED}),
                         [](const ::testing::TestParamInfo<Allocator>& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace alloctrail::test
