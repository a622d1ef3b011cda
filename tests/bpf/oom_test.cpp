// SPDX-License-Identifier: Apache-2.0
// Real kills by the OOM killer, each in a small memory cgroup: who is seen, and that each kill has exactly one report.
#include <gtest/gtest.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/kernel_test.h"
#include "tests/support/memory_cgroup.h"
#include "tests/support/oom_watch.h"
#include "tests/support/report.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"
#include "user/handles.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

constexpr uint64_t kLimit = 48u << 20;
constexpr uint64_t kBeyondTheLimit = 1u << 20;  // the kernel lets a dying process have some pages more
constexpr int kRounds = 20;  // of what depends on who runs first
constexpr const char* kProgram = WORKLOAD_DIR "/oom";
constexpr const char* kNoFramePointers = WORKLOAD_DIR "/oom_no_frame_pointers";
constexpr int kKilled = 128 + SIGKILL;

/// A program that is to be killed in a cgroup; it has not allocated anything yet.
class Victim {
 public:
  Victim(const char* program, const std::string& story, const MemoryCgroup& cgroup, const Deadline& deadline,
         const std::vector<std::string>& more = {})
      : workload_(command(program, story, cgroup, more), deadline) {
    if (!cgroup.holds(pid())) throw std::runtime_error("the victim is not in its cgroup");
  }
  [[nodiscard]] pid_t pid() const { return workload_.pid(); }
  Workload& workload() { return workload_; }
  void start(std::string_view argument = "go") { workload_.go_without_truth(argument); }
  void start_and_die() {
    start();
    EXPECT_EQ(workload_.child().wait_exit(), kKilled);
  }

 private:
  static std::vector<std::string> command(const char* program, const std::string& story, const MemoryCgroup& cgroup,
                                          const std::vector<std::string>& more) {
    std::vector<std::string> arguments{program, story, cgroup.directory()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  Workload workload_;
};

class Oom : public KernelTest {
 protected:
  MemoryCgroup cgroup{kLimit};
};

/// What every report of a kill in `cgroup` says.
void expect_kill_of(const json& report, pid_t pid, const MemoryCgroup& cgroup) {
  EXPECT_EQ(report.at("schema"), "alloctrail/oom/1");
  EXPECT_EQ(report.at("victim").at("pid"), pid);
  EXPECT_EQ(report.at("victim").at("oom_score_adj"), 1000);
  EXPECT_EQ(report.at("reason"), "cgroup_limit") << report.at("trigger").dump();
  const json& own = report.at("cgroups").at(0);
  EXPECT_EQ(own.at("path"), cgroup.path());
  EXPECT_EQ(own.at("limit_bytes"), kLimit);
  EXPECT_EQ(own.at("full"), true);
  EXPECT_EQ(report.at("losses").at("threads_not_seen"), 0);
  EXPECT_EQ(report.at("losses").at("records_dropped"), 0);
  EXPECT_EQ(report.at("threads").size(), report.at("victim").at("threads"));
}

/// A process of which nothing was known before may be gone before its mappings can be read. Then the report says so, and its
/// stacks have no names; every thread is there all the same.
bool has_names(const json& report) {
  if (report.at("mappings_seen").get<bool>()) return true;
  EXPECT_FALSE(report.at("notes").empty());
  return false;
}

/// The one thread of this name stands in this function.
void expect_thread_in(const json& report, const std::string& name, const std::string& function) {
  const std::vector<json> threads = threads_named(report, name);
  ASSERT_EQ(threads.size(), 1U) << name;
  if (!has_names(report)) return;
  EXPECT_TRUE(stack_has(report, threads[0].at("stack"), function))
      << name << ": " << report.at("stacks").at(threads[0].at("stack").get<size_t>()).dump(1);
}

void expect_six_threads(const json& report) {
  ASSERT_EQ(report.at("threads").size(), 6U);
  expect_thread_in(report, "reader", "read_forever");
  expect_thread_in(report, "locker", "lock_forever");
  expect_thread_in(report, "sleeper", "sleep_forever");
  expect_thread_in(report, "victim", "spin_forever");
  if (!has_names(report)) return;
  for (const json& leaker : threads_named(report, "leaker"))
    EXPECT_TRUE(stack_has(report, leaker.at("stack"), "leak_loop")) << leaker.dump();
  EXPECT_TRUE(stack_has(report, report.at("trigger").at("stack"), "leak_inner"));
}

TEST_F(Oom, EveryThreadOfAnUnknownProcessIsSeenWhereItStood) {
  OomWatch watch({"--all"}, deadline);
  for (int round = 0; round < kRounds; ++round) {
    Victim victim(round % 2 == 0 ? kProgram : kNoFramePointers, "six", cgroup, deadline);
    victim.start_and_die();
    const json report = watch.next_report();
    expect_kill_of(report, victim.pid(), cgroup);
    expect_six_threads(report);
  }
  EXPECT_EQ(watch.finish().size(), 0U);
  EXPECT_EQ(cgroup.oom_kills(), kRounds);
}

/// TracerPid in /proc/PID/status.
pid_t tracer_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string name, value; status >> name && std::getline(status, value);)
    if (name == "TracerPid:") return std::stoi(value);
  return 0;
}

/// The program counts what it allocates in a file it shares with the test.
class SharedCounters {
 public:
  SharedCounters() {
    file_ = directory_.file("counters");
    const UniqueFd fd(open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (ftruncate(fd.get(), 4096) != 0) throw std::runtime_error("ftruncate");
    counters_ = static_cast<uint64_t*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  }
  ~SharedCounters() { munmap(counters_, 4096); }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] uint64_t bytes_of(int thread) const { return counters_[thread]; }

 private:
  TempDir directory_;
  std::string file_;
  uint64_t* counters_ = nullptr;
};

TEST_F(Oom, TracedVictimIsReportedWithWhatItsThreadsHeld) {
  constexpr uint64_t kChunk = 65536;
  for (int round = 0; round < 5; ++round) {
    const SharedCounters counters;
    Victim victim(kNoFramePointers, "six", cgroup, deadline, {counters.file()});
    OomWatch watch({"-p", std::to_string(victim.pid())}, deadline);
    victim.start_and_die();
    const json report = watch.next_report();
    EXPECT_EQ(watch.child().wait_exit(), 0) << watch.child().error_text();
    expect_kill_of(report, victim.pid(), cgroup);
    expect_six_threads(report);
    EXPECT_TRUE(report.at("mappings_seen"));
    for (const json& stack : report.at("stacks")) EXPECT_EQ(stack.at("status"), "complete") << stack.dump(1);
    const json& accounting = report.at("accounting");
    for (int thread = 0; thread < 2; ++thread) {
      const std::string name = "leaker-" + std::to_string(thread);
      const auto tid = threads_named(report, name).at(0).at("tid").get<pid_t>();
      const uint64_t held = outstanding_of_thread(accounting, tid).bytes;
      // A thread counts a block after it was given it, and before it meets the signal.
      EXPECT_GE(held, counters.bytes_of(thread)) << name;
      EXPECT_LE(held, counters.bytes_of(thread) + kChunk) << name;
    }
  }
}

TEST_F(Oom, ReportRecordsTheDeathOfItsTarget) {
  Victim victim(kNoFramePointers, "six", cgroup, deadline);
  Tracer tracer({victim.pid()}, deadline);
  victim.start_and_die();
  const Tracer::End end = tracer.wait_end();
  EXPECT_EQ(end.exit_code, 0) << end.error_text;
  ASSERT_EQ(end.reports.size(), 2U);
  EXPECT_EQ(end.reports[0].at("end"), "exited");
  expect_conserved(end.reports[0]);
  expect_kill_of(end.reports[1], victim.pid(), cgroup);
  expect_six_threads(end.reports[1]);
}

/// What the full cgroup consisted of: leaked memory for the most part. The parts are counted in batches of pages per CPU.
void expect_usage_read(const json& report, const MemoryCgroup& cgroup) {
  const json& usage = report.at("usage");
  EXPECT_EQ(usage.at("path"), cgroup.path());
  EXPECT_LE(usage.at("use_bytes").get<uint64_t>(), kLimit + kBeyondTheLimit);
  EXPECT_GT(usage.at("anon_bytes").get<uint64_t>(), usage.at("use_bytes").get<uint64_t>() / 2);
  EXPECT_LT(usage.at("shmem_bytes").get<uint64_t>(), kLimit / 10);
}

TEST_F(Oom, HeldProcessIsReadExactlyAndLetGo) {
  OomWatch watch({"--all"}, deadline);
  int held = 0;
  for (int round = 0; round < kRounds; ++round) {
    Victim victim(kNoFramePointers, "six", cgroup, deadline);
    victim.start_and_die();
    const json report = watch.next_report();
    expect_kill_of(report, victim.pid(), cgroup);
    if (!report.at("held").get<bool>()) continue;
    held++;
    EXPECT_TRUE(report.at("mappings_seen").get<bool>());
    expect_usage_read(report, cgroup);
    for (const auto& [name, figure] : report.at("figures").items()) EXPECT_TRUE(figure.at("exact").get<bool>()) << name;
  }
  EXPECT_GT(held, 0);
}

TEST_F(Oom, WithoutAHoldFiguresSayHowFarTheyAreOff) {
  OomWatch watch({"--all", "--oom-hold", "off"}, deadline);
  Victim victim(kProgram, "six", cgroup, deadline);
  victim.start_and_die();
  const json report = watch.next_report();
  expect_kill_of(report, victim.pid(), cgroup);
  EXPECT_EQ(report.at("held"), false);
  EXPECT_EQ(report.at("figures").at("VmRSS").at("exact"), report.at("figures_error_bytes") == 0);
}

TEST_F(Oom, ProcessThatADebuggerTracesIsNotHeld) {
  OomWatch watch({"--all"}, deadline);
  Victim victim(kProgram, "six", cgroup, deadline);
  Child debugger({.arguments = {"/usr/bin/gdb", "-q", "-nx", "-ex", "handle SIGKILL nostop", "-ex", "continue", "-p",
                                std::to_string(victim.pid()), "--batch"}},
                 deadline);
  while (tracer_of(victim.pid()) != debugger.pid())
    if (deadline.left_ms() == 0) throw TimedOut("gdb did not attach");
  victim.start_and_die();
  const json report = watch.next_report();
  EXPECT_EQ(report.at("victim").at("pid"), victim.pid());
  EXPECT_EQ(report.at("threads").size(), 6U);
  EXPECT_EQ(report.at("held"), false);
  debugger.wait_exit();
}

TEST_F(Oom, TheTriggerMayBeAnotherProcess) {
  OomWatch watch({"--all"}, deadline);
  for (int round = 0; round < kRounds; ++round) {
    Victim holder(kProgram, "hold", cgroup, deadline);
    Victim leaker(kProgram, "one", cgroup, deadline);
    holder.start("480");  // 30 MiB, of which it does nothing more
    holder.workload().wait_ready();
    leaker.start();
    EXPECT_EQ(holder.workload().child().wait_exit(), kKilled);
    const json report = watch.next_report();
    expect_kill_of(report, holder.pid(), cgroup);
    EXPECT_EQ(report.at("trigger").at("pid"), leaker.pid());
    EXPECT_TRUE(stack_has(report, report.at("trigger").at("stack"), "leak_inner")) << report.at("trigger").dump();
    expect_thread_in(report, "victim", "sleep_forever");
    EXPECT_EQ(leaker.workload().child().wait_exit(), kKilled);
    expect_kill_of(watch.next_report(), leaker.pid(), cgroup);
  }
  EXPECT_EQ(watch.finish().size(), 0U);
  EXPECT_EQ(cgroup.oom_kills(), 2 * kRounds);
}

TEST_F(Oom, AKillNamedByAThreadWhoseLeaderHasExitedIsOneReport) {
  OomWatch watch({"--all"}, deadline);
  for (int round = 0; round < kRounds; ++round) {
    Victim victim(kProgram, "no_leader", cgroup, deadline);
    victim.start_and_die();
    const json report = watch.next_report();
    EXPECT_EQ(report.at("victim").at("pid"), victim.pid());
    EXPECT_EQ(threads_named(report, "leaker").size(), 8U);
  }
  EXPECT_EQ(watch.finish().size(), 0U);
  EXPECT_EQ(cgroup.oom_kills(), kRounds);
}

TEST_F(Oom, MarksThatRepeatAreOneReport) {
  OomWatch watch({"--all"}, deadline);
  for (int round = 0; round < kRounds; ++round) {
    Victim victim(kProgram, "eight", cgroup, deadline);
    victim.start_and_die();
    const json report = watch.next_report();
    expect_kill_of(report, victim.pid(), cgroup);
    EXPECT_EQ(threads_named(report, "leaker").size(), 8U);
  }
  EXPECT_EQ(watch.finish().size(), 0U);
  EXPECT_EQ(cgroup.oom_kills(), kRounds);
}

TEST_F(Oom, SixtyFourThreadsAreAllSeen) {
  OomWatch watch({"--all"}, deadline);
  for (int round = 0; round < kRounds; ++round) {
    Victim victim(kProgram, "many", cgroup, deadline);
    victim.start_and_die();
    const json report = watch.next_report();
    expect_kill_of(report, victim.pid(), cgroup);
    ASSERT_EQ(report.at("threads").size(), 64U);
    if (!has_names(report)) continue;
    for (const json& sleeper : threads_named(report, "sleeper"))
      EXPECT_TRUE(stack_has(report, sleeper.at("stack"), "sleep_forever")) << sleeper.dump();
  }
  EXPECT_EQ(watch.finish().size(), 0U);
  EXPECT_EQ(cgroup.oom_kills(), kRounds);
}

TEST_F(Oom, MemoryThatIsNotInTheResidentSetIsNotClaimedToBe) {
  OomWatch watch({"--all"}, deadline);
  Victim victim(kProgram, "file", cgroup, deadline);
  victim.start_and_die();
  const json report = watch.next_report();
  expect_kill_of(report, victim.pid(), cgroup);
  EXPECT_LT(report.at("victim").at("rss_bytes").get<uint64_t>(), kLimit / 10);
  EXPECT_EQ(report.at("threads").at(0).at("state"), "in write");
  if (!has_names(report)) return;
  EXPECT_TRUE(stack_has(report, report.at("trigger").at("stack"), "write_file_forever"));
}

TEST_F(Oom, OtherDeathsAreNotReported) {
  OomWatch watch({"--all"}, deadline);
  Victim killed(kProgram, "one", cgroup, deadline);
  killed.workload().child().signal(SIGKILL);
  EXPECT_EQ(killed.workload().child().wait_exit(), kKilled);
  Victim exited(kProgram, "exit", cgroup, deadline);
  exited.start();
  EXPECT_EQ(exited.workload().child().wait_exit(), 0);
  Victim victim(kProgram, "one", cgroup, deadline);
  victim.start_and_die();
  expect_kill_of(watch.next_report(), victim.pid(), cgroup);
  EXPECT_EQ(watch.finish().size(), 0U);
  EXPECT_EQ(cgroup.oom_kills(), 1U);
}

TEST_F(Oom, TwoProcessesMayDieAtOnce) {
  const MemoryCgroup other(kLimit);
  OomWatch watch({"--all"}, deadline);
  for (int round = 0; round < kRounds; ++round) {
    Victim first(kProgram, "six", cgroup, deadline);
    Victim second(kProgram, "six", other, deadline);
    first.start();
    second.start();
    EXPECT_EQ(first.workload().child().wait_exit(), kKilled);
    EXPECT_EQ(second.workload().child().wait_exit(), kKilled);
    std::vector<json> reports{watch.next_report(), watch.next_report()};
    if (reports[0].at("victim").at("pid") != first.pid()) std::swap(reports[0], reports[1]);
    expect_kill_of(reports[0], first.pid(), cgroup);
    expect_kill_of(reports[1], second.pid(), other);
    for (const json& report : reports) expect_six_threads(report);
  }
  EXPECT_EQ(watch.finish().size(), 0U);
}

TEST_F(Oom, ALimitAboveTheVictimsCgroupIsTheOneNamed) {
  const MemoryCgroup below(cgroup, 2 * kLimit);
  OomWatch watch({"--all", "--once"}, deadline);
  Victim victim(kProgram, "one", below, deadline);
  victim.start_and_die();
  const json report = watch.next_report();
  EXPECT_EQ(report.at("cgroups").at(0).at("full"), false);
  EXPECT_EQ(report.at("cgroups").at(0).at("path"), below.path());
  EXPECT_EQ(report.at("cgroups").at(1).at("full"), true);
  EXPECT_EQ(report.at("cgroups").at(1).at("path"), cgroup.path());
  EXPECT_EQ(watch.child().wait_exit(), 0);
}

}  // namespace
}  // namespace alloctrail::test
