// SPDX-License-Identifier: Apache-2.0
// A kill while alloctrail itself is in trouble: paused, killed, without room on its disk. The victim dies as it would without
// us, and what was written is whole.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/kernel_test.h"
#include "tests/support/leftovers.h"
#include "tests/support/memory_cgroup.h"
#include "tests/support/oom_watch.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

constexpr int kKilled = 128 + SIGKILL;

class OomTrouble : public KernelTest {
 protected:
  /// A process of six threads that lives in the cgroup and is killed there.
  pid_t kill_one() { return kill_one_in(cgroup); }
  pid_t kill_one_in(const MemoryCgroup& where) {
    Workload victim({WORKLOAD_DIR "/oom", "six", where.directory()}, deadline);
    if (!where.holds(victim.pid())) throw std::runtime_error("the victim is not in its cgroup");
    victim.go_without_truth();
    EXPECT_EQ(victim.child().wait_exit(), kKilled);
    return victim.pid();
  }

  MemoryCgroup cgroup{48u << 20};
};

std::vector<std::filesystem::path> files_in(const std::filesystem::path& directory, const std::string& suffix) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().filename().string().ends_with(suffix)) found.push_back(entry.path());
  return found;
}

json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

void wait_until_stopped(pid_t pid, const Deadline& deadline) {
  while (process_state(pid) != 'T')
    if (deadline.left_ms() == 0) throw TimedOut("the process did not stop");
}

TEST_F(OomTrouble, PausedWatcherHasEveryKillAfterwards) {
  OomWatch watch({"--all"}, deadline);
  watch.child().signal(SIGSTOP);
  wait_until_stopped(watch.pid(), deadline);
  const pid_t first = kill_one();
  const pid_t second = kill_one();
  watch.child().signal(SIGCONT);
  for (const pid_t pid : {first, second}) {
    const json report = watch.next_report();
    EXPECT_EQ(report.at("victim").at("pid"), pid);
    EXPECT_EQ(report.at("reason"), "cgroup_limit");
    EXPECT_EQ(report.at("threads").size(), 6U);
    EXPECT_EQ(report.at("mappings_seen"), false);
    EXPECT_EQ(report.at("losses").at("records_dropped"), 0);
    EXPECT_FALSE(report.at("victim").at("command").get<std::string>().empty());
  }
  EXPECT_EQ(watch.finish().size(), 0U);
}

TEST_F(OomTrouble, KilledWatcherLeavesNothingAndHarmsNobody) {
  OomWatch watch({"--all"}, deadline);
  const auto objects = bpf_objects_of(watch.pid());
  EXPECT_FALSE(objects.empty());
  watch.child().signal(SIGKILL);
  EXPECT_EQ(watch.child().wait_exit(), kKilled);
  wait_until_gone(objects, deadline);
  kill_one();
}

TEST_F(OomTrouble, RecordsOfAKilledWatcherCanBeReportedLater) {
  const TempDir parent;
  OomWatch watch({"--all", "-o", parent.file("reports")}, deadline);
  std::filesystem::rename(parent.file("reports"), parent.file("moved"));  // no report can be written
  const pid_t victim = kill_one();
  watch.child().wait_error_text("cannot open the directory");
  watch.child().signal(SIGKILL);
  watch.child().wait_exit();
  const auto raw = files_in(parent.file("moved"), ".raw");
  ASSERT_EQ(raw.size(), 1U);
  const json reports = json::parse(run({Tracer::binary(), "oom", "--json", "--from", raw[0].string()}, deadline));
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].at("victim").at("pid"), victim);
  EXPECT_EQ(reports[0].at("reason"), "cgroup_limit");
  EXPECT_EQ(reports[0].at("threads").size(), 6U);
}

TEST_F(OomTrouble, AFileWithoutRecordsIsAnError) {
  Child report({.arguments = {Tracer::binary(), "oom", "--from", "/etc/passwd"}}, deadline);
  EXPECT_EQ(report.wait_exit(), 1);
  EXPECT_NE(report.error_text().find("'/etc/passwd' holds no record of an OOM kill"), std::string::npos) << report.error_text();
}

/// A file system of its own with little room.
class SmallDisk {
 public:
  SmallDisk() {
    if (mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, "size=256k") != 0) throw std::runtime_error("mount tmpfs");
  }
  ~SmallDisk() { umount2(directory_.path().c_str(), MNT_DETACH); }
  [[nodiscard]] std::string path() const { return directory_.path().string(); }
  void fill() {
    std::ofstream filler(path() + "/filler");
    const std::string page(4096, 'x');
    while (filler.write(page.data(), 4096).flush()) {
    }
  }
  void make_room() { std::filesystem::remove(path() + "/filler"); }

 private:
  TempDir directory_;
};

TEST_F(OomTrouble, FullDiskCostsTheReportAndNothingElse) {
  SmallDisk disk;
  OomWatch watch({"--all", "-o", disk.path()}, deadline);
  disk.fill();
  kill_one();
  watch.child().wait_error_text("cannot");
  EXPECT_TRUE(files_in(disk.path(), ".json").empty());
  disk.make_room();
  const pid_t second = kill_one();
  watch.child().wait_error_text("-" + std::to_string(second) + "-");
  const auto reports = files_in(disk.path(), ".json");
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(read_json(reports[0]).at("victim").at("pid"), second);
  watch.child().signal(SIGINT);
  EXPECT_EQ(watch.child().wait_exit(), 1);
}

/// Starts a program as a member of the cgroup.
std::vector<std::string> inside(const MemoryCgroup& cgroup) {
  return {"/bin/sh", "-c", "echo $$ > " + cgroup.directory() + "/cgroup.procs && exec \"$0\" \"$@\""};
}

/// The same in a mount namespace where cgroups cannot be changed, as in a container.
std::vector<std::string> locked_inside(const MemoryCgroup& cgroup) {
  const std::string mount = cgroup.directory().substr(0, cgroup.directory().size() - cgroup.path().size());
  return {"/usr/bin/unshare", "-m", "/bin/sh", "-c",
          "echo $$ > " + cgroup.directory() + "/cgroup.procs && mount -o remount,bind,ro " + mount +
              " && exec \"$0\" \"$@\""};
}

TEST_F(OomTrouble, WatcherLeavesTheCgroupOfItsTarget) {
  Workload victim({WORKLOAD_DIR "/oom", "six", cgroup.directory()}, deadline);
  OomWatch watch({"-p", std::to_string(victim.pid())}, deadline, inside(cgroup));
  EXPECT_NE(watch.child().error_text().find("moved itself out of the memory cgroup " + cgroup.path()), std::string::npos)
      << watch.child().error_text();
  EXPECT_FALSE(cgroup.holds(watch.pid()));
  EXPECT_TRUE(cgroup.holds(victim.pid()));
  victim.go_without_truth();
  EXPECT_EQ(victim.child().wait_exit(), kKilled);
  EXPECT_EQ(watch.next_report().at("victim").at("pid"), victim.pid());
}

TEST_F(OomTrouble, WatcherThatMustStayInTheVictimsCgroupOutlivesItsKills) {
  constexpr int kRounds = 20;
  const MemoryCgroup shared(96u << 20);
  Workload neighbour({WORKLOAD_DIR "/oom", "six", shared.directory()}, deadline);  // alone it would share nothing
  OomWatch watch({"--all"}, deadline, locked_inside(shared));
  EXPECT_NE(watch.child().error_text().find("shares the memory limit of cgroup " + shared.path()), std::string::npos)
      << watch.child().error_text();
  EXPECT_TRUE(shared.holds(watch.pid()));
  uint64_t others = 0;
  for (int round = 0; round < kRounds; ++round) {
    const pid_t victim = kill_one_in(shared);
    json report = watch.next_report();
    // While a large victim dies, the kernel may take the neighbour as well.
    for (; report.at("victim").at("pid") == neighbour.pid(); report = watch.next_report()) others++;
    EXPECT_EQ(report.at("victim").at("pid"), victim);
    EXPECT_EQ(report.at("threads").size(), 6U);
    EXPECT_EQ(report.at("held"), false);
    EXPECT_EQ(report.at("mappings_seen"), false);
  }
  EXPECT_EQ(watch.finish().size(), 0U);
  EXPECT_EQ(shared.oom_kills(), kRounds + others);
}

TEST_F(OomTrouble, AFileAKillTheNewestKeptAndTheProgramRunForEach) {
  const TempDir directory;
  const TempDir results;
  const std::string script = results.file("hook");
  std::ofstream(script) << "#!/bin/sh\ncp \"$1\" " << results.path().string() << "/\n";
  std::filesystem::permissions(script, std::filesystem::perms(0755));
  OomWatch watch({"--all", "-o", directory.path().string(), "--keep", "2", "--exec", script}, deadline);
  std::vector<pid_t> victims;
  for (int i = 0; i < 3; ++i) {
    victims.push_back(kill_one());
    watch.child().wait_error_text("-" + std::to_string(victims.back()) + "-");
  }
  watch.child().signal(SIGINT);
  EXPECT_EQ(watch.child().wait_exit(), 0);
  EXPECT_EQ(files_in(directory.path(), ".json").size(), 2U);
  EXPECT_EQ(files_in(results.path(), ".json").size(), 3U);
  EXPECT_TRUE(files_in(directory.path(), ".raw").empty());
}

}  // namespace
}  // namespace alloctrail::test
