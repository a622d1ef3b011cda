// SPDX-License-Identifier: Apache-2.0
// Which process is traced: several at once, reused pids, other namespaces, deleted files, names, launched commands.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/personality.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/kernel_test.h"
#include "tests/support/leftovers.h"
#include "tests/support/program_root.h"
#include "tests/support/report.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

class Targets : public KernelTest {
 protected:
  ChildOptions blocks(int count, int bytes, const std::string& name = "blocks") const {
    return {.arguments = {WORKLOAD_DIR "/blocks", std::to_string(count), std::to_string(bytes), name}};
  }

  static const json& report_of(pid_t pid, const std::vector<json>& reports) {
    for (const json& report : reports)
      if (report.at("process").at("pid") == pid) return report;
    throw std::runtime_error("no report of process " + std::to_string(pid));
  }

  /// Where the process's heap begins, as /proc/PID/maps has it.
  static std::string heap_range(pid_t pid) {
    std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
    for (std::string line; std::getline(maps, line);)
      if (line.ends_with("[heap]")) return line.substr(0, line.find('-'));
    return {};
  }
};

TEST_F(Targets, ProcessesWithEqualAddressesNeverMix) {
  ChildOptions first_options = blocks(1000, 64);
  ChildOptions second_options = blocks(1000, 64);
  first_options.persona = second_options.persona = ADDR_NO_RANDOMIZE;
  Workload first(first_options, deadline);
  Workload second(second_options, deadline);
  Tracer tracer({first.pid(), second.pid()}, deadline);
  json first_truth = first.go("make");
  json second_truth = second.go("make");
  EXPECT_EQ(heap_range(first.pid()), heap_range(second.pid()));
  std::vector<json> reports = tracer.snapshots(2);
  expect_equals_truth(report_of(first.pid(), reports), first_truth);
  expect_equals_truth(report_of(second.pid(), reports), second_truth);
  first_truth = first.go("free");
  reports = tracer.snapshots(2);
  expect_equals_truth(report_of(first.pid(), reports), first_truth);
  expect_equals_truth(report_of(second.pid(), reports), second_truth);
  second_truth = second.go("make");
  reports = tracer.snapshots(2);
  expect_equals_truth(report_of(second.pid(), reports), second_truth);
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Targets, PidReusedByAnotherProgramIsNotContinued) {
  Workload stays(blocks(10, 100), deadline);
  pid_t reused = 0;
  std::unique_ptr<Tracer> tracer;
  {
    Workload ends(blocks(20, 300), deadline);
    reused = ends.pid();
    tracer = std::make_unique<Tracer>(std::vector<pid_t>{stays.pid(), reused}, deadline);
    ends.go("make");
    EXPECT_EQ(ends.finish(), 0);
  }
  const json last = tracer->next_report();
  EXPECT_EQ(last.at("process").at("pid"), reused);
  EXPECT_EQ(last.at("end"), "exited");
  ChildOptions successor_options = blocks(50, 500);
  successor_options.wanted_pid = reused;
  Workload successor(successor_options, deadline);
  ASSERT_EQ(successor.pid(), reused);
  successor.go("make");
  const json truth = stays.go("make");
  expect_equals_truth(tracer->snapshot(), truth);
  EXPECT_EQ(changed_text(reused), std::vector<std::string>{});
  const Tracer::End end = tracer->finish();
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_EQ(end.reports.size(), 1U);
}

class OtherNamespaces : public Targets {
 protected:
  OtherNamespaces() {
    fill_root(root_.path(), WORKLOAD_DIR "/blocks", deadline);
    options_ = {.arguments = {"/blocks", "300", "77", "inside"},
                .namespaces = CLONE_NEWPID | CLONE_NEWNS,
                .root = root_.path().string()};
  }

  /// In the target's own pid namespace its ids are others, so threads are compared by what the tracer's namespace says.
  static json as_seen_outside(json truth, pid_t pid) {
    for (json& thread : truth.at("threads")) thread["tid"] = pid;
    return truth;
  }

  TempDir root_;
  ChildOptions options_;
};

TEST_F(OtherNamespaces, TargetWithItsOwnLibrariesIsTraced) {
  Workload workload(options_, deadline);
  Tracer tracer({workload.pid()}, deadline);
  const json truth = workload.go("make");
  EXPECT_EQ(truth.at("pid"), 1);
  expect_equals_truth(tracer.snapshot(), as_seen_outside(truth, workload.pid()));
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(changed_text(workload.pid()), std::vector<std::string>{});
}

TEST_F(OtherNamespaces, TargetWhoseFilesWereDeletedIsTraced) {
  Workload workload(options_, deadline);
  for (const auto& entry : fs::directory_iterator(root_.path())) fs::remove_all(entry.path());
  Tracer tracer({workload.pid()}, deadline);
  const json truth = workload.go("make");
  expect_equals_truth(tracer.snapshot(), as_seen_outside(truth, workload.pid()));
  EXPECT_EQ(tracer.finish().exit_code, 0);
  EXPECT_EQ(changed_text(workload.pid()), std::vector<std::string>{});
}

TEST_F(Targets, ProcessesAreFoundByName) {
  Workload first(blocks(10, 100, "at-name-test"), deadline);
  Workload other(blocks(10, 100, "at-other-test"), deadline);
  Workload second(blocks(30, 100, "at-name-test"), deadline);
  Child tracer(
      {.arguments = {Tracer::binary(), "report", "--comm", "at-name-test", "--json-lines", "--interval", "1h"}},
      deadline);
  tracer.wait_error_text("alloctrail: attached to ");
  tracer.wait_error_text("\n");
  const json first_truth = first.go("make");
  const json second_truth = second.go("make");
  other.go("make");
  tracer.signal(SIGINT);
  EXPECT_EQ(tracer.wait_exit(), 0);
  std::vector<json> reports;
  for (const std::string& line : tracer.take_lines()) reports.push_back(json::parse(line));
  ASSERT_EQ(reports.size(), 2U);
  expect_equals_truth(report_of(first.pid(), reports), first_truth);
  expect_equals_truth(report_of(second.pid(), reports), second_truth);
}

/// A cgroup of its own in whichever hierarchy is mounted; empty path: there is none.
class OwnCgroup {
 public:
  OwnCgroup() {
    for (const char* hierarchy : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids"}) {
      const fs::path folder = fs::path(hierarchy) / ("alloctrail-test-" + std::to_string(::getpid()));
      std::error_code failure;
      if (!fs::exists(fs::path(hierarchy) / "cgroup.procs") || !fs::create_directory(folder, failure)) continue;
      path_ = folder;
      return;
    }
  }
  OwnCgroup(OwnCgroup&&) = delete;
  ~OwnCgroup() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }

  [[nodiscard]] std::string path() const { return path_.string(); }
  void take_in(pid_t pid) const { std::ofstream(path_ / "cgroup.procs") << pid; }

 private:
  fs::path path_;
};

TEST_F(Targets, ProcessesAreFoundByCgroup) {
  const OwnCgroup cgroup;
  if (cgroup.path().empty()) {
    skip_or_fail("no cgroup hierarchy can be written to");
    return;
  }
  Workload inside(blocks(10, 100), deadline);
  Workload outside(blocks(20, 100), deadline);
  cgroup.take_in(inside.pid());
  Child tracer({.arguments = {Tracer::binary(), "report", "--cgroup", cgroup.path(), "--json-lines"}}, deadline);
  tracer.wait_error_text("alloctrail: attached to " + std::to_string(inside.pid()) + "\n");
  const json truth = inside.go("make");
  outside.go("make");
  tracer.signal(SIGINT);
  EXPECT_EQ(tracer.wait_exit(), 0);
  const std::vector<std::string> lines = tracer.take_lines();
  ASSERT_FALSE(lines.empty());
  expect_equals_truth(json::parse(lines.back()), truth);
}

TEST_F(Targets, AllocatorLoadedLaterIsTracedToo) {
  Workload workload({WORKLOAD_DIR "/late_library", MIMALLOC_SHARED}, deadline);
  Tracer tracer({workload.pid()}, deadline);
  workload.go("load");
  const auto is_hooked = [](const json& probe) {
    return probe.at("module").get<std::string>().find("mimalloc") != std::string::npos;
  };
  for (json probes = json::array(); std::none_of(probes.begin(), probes.end(), is_hooked);)
    probes = tracer.snapshot().at("probes");
  const json truth = workload.go("allocate");
  const json report = tracer.snapshot();
  EXPECT_EQ(outstanding_of_function(report, "allocate_with_loaded"), amount(truth.at("threads").at(0), "outstanding"));
  expect_conserved(report);
  expect_nothing_lost(report);
  EXPECT_EQ(tracer.finish().exit_code, 0);
}

TEST_F(Targets, LaunchedCommandIsTracedFromItsFirstAllocation) {
  TempDir folder;
  const std::string file = folder.file("report.json");
  Child tracer(
      {.arguments = {Tracer::binary(), "report", "--json", "-o", file, "--", WORKLOAD_DIR "/lifecycle", "exit"}},
      deadline);
  EXPECT_TRUE(tracer.read_line().starts_with("ready "));
  tracer.write("go\n");
  const json truth = json::parse(tracer.read_line());
  EXPECT_EQ(tracer.wait_exit(), 0) << tracer.error_text();
  const json document = json::parse(std::ifstream(file));
  ASSERT_FALSE(document.empty());
  EXPECT_EQ(document.back().at("end"), "exited");
  expect_equals_truth(document.back(), truth);
}

TEST_F(Targets, CommandThatEndsAtOnceStillHasAReport) {
  for (int round = 0; round < 5; ++round) {
    Child tracer({.arguments = {Tracer::binary(), "report", "--json-lines", "--interval", "1h", "--", "/bin/true"}},
                 deadline);
    EXPECT_EQ(tracer.wait_exit(), 0) << tracer.error_text();
    const std::vector<std::string> lines = tracer.take_lines();
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(json::parse(lines.front()).at("end"), "exited");
  }
}

}  // namespace
}  // namespace alloctrail::test
