// SPDX-License-Identifier: Apache-2.0
// `alloctrail record`, and `alloctrail report` of what it wrote.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/kernel_test.h"
#include "tests/support/memory_cgroup.h"
#include "tests/support/report.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

class Record : public KernelTest {
 protected:
  /// `alloctrail record`, once all probes are in.
  class Recorder : public Child {
   public:
    Recorder(pid_t target, const std::string& file, const std::string& interval, const Deadline& deadline)
        : Child({.arguments = {Tracer::binary(), "record", "-p", std::to_string(target), "-o", file, "-i", interval}},
                deadline) {
      wait_error_text("alloctrail: attached to " + std::to_string(target) + "\n");
    }
  };

  /// What `alloctrail report FILE` prints as JSON lines.
  std::vector<json> reports(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {Tracer::binary(), "report", file, "--json-lines"});
    Child child({.arguments = std::move(arguments)}, deadline);
    EXPECT_EQ(child.wait_exit(), 0) << child.error_text();
    said = child.error_text();
    std::vector<json> reports;
    for (const std::string& line : child.take_lines()) reports.push_back(json::parse(line));
    return reports;
  }

  TempDir folder;
  std::string file = folder.file("run.alloctrail");
  std::string said;  ///< on standard error, by the last reports()
};

TEST_F(Record, ItsReportIsThatOfALiveRun) {
  Workload target({WORKLOAD_DIR "/lifecycle", "allocate"}, deadline);
  Recorder recorder(target.pid(), file, "1h", deadline);
  Tracer live({target.pid()}, deadline);
  const json truth = target.go();
  const json seen = live.snapshot();
  recorder.signal(SIGINT);
  EXPECT_EQ(recorder.wait_exit(), 0) << recorder.error_text();
  const std::vector<json> recorded = reports();
  ASSERT_EQ(recorded.size(), 1U);
  expect_equals_truth(recorded[0], truth);
  for (const char* part : {"threads", "sites"}) EXPECT_EQ(recorded[0].at(part).size(), seen.at(part).size()) << part;
  EXPECT_EQ(recorded[0].at("sites").at(0).at("stack"), seen.at("sites").at(0).at("stack"));
  EXPECT_EQ(said, "");
  EXPECT_EQ(live.finish().exit_code, 0);
}

TEST_F(Record, AKilledRecorderLeavesWhatItWrote) {
  Workload target({WORKLOAD_DIR "/lifecycle", "allocate"}, deadline);
  const json truth = target.go();
  Recorder recorder(target.pid(), file, "10ms", deadline);
  while (reports({"-n", "1000"}).size() < 3) {
    ASSERT_NE(deadline.left_ms(), 0) << recorder.error_text();
  }
  recorder.signal(SIGKILL);
  EXPECT_EQ(recorder.wait_exit(), 128 + SIGKILL);
  EXPECT_GE(reports({"-n", "1000"}).size(), 3U);
  EXPECT_EQ(reports({"-n", "2"}).size(), 2U);
  const std::vector<json> last = reports();
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].at("process").at("pid"), target.pid());
}

TEST_F(Record, AFullDiskEndsItAndLeavesWholeMoments) {
  ASSERT_EQ(mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=16k"), 0);
  Workload target({WORKLOAD_DIR "/lifecycle", "allocate"}, deadline);
  Recorder recorder(target.pid(), file, "10ms", deadline);
  EXPECT_EQ(recorder.wait_exit(), 1);
  EXPECT_NE(recorder.error_text().find("No space left"), std::string::npos) << recorder.error_text();
  EXPECT_GE(reports({"-n", "1000"}).size(), 1U);
  EXPECT_EQ(said, "");
  umount2(folder.path().c_str(), MNT_DETACH);
}

TEST_F(Record, TheDeathOfATargetIsInTheRecording) {
  const MemoryCgroup cgroup(48u << 20);
  Workload victim({WORKLOAD_DIR "/oom_no_frame_pointers", "six", cgroup.directory()}, deadline);
  Recorder recorder(victim.pid(), file, "1h", deadline);
  victim.go_without_truth();
  EXPECT_EQ(victim.child().wait_exit(), 128 + SIGKILL);
  EXPECT_EQ(recorder.wait_exit(), 0) << recorder.error_text();
  const std::vector<json> recorded = reports();
  ASSERT_EQ(recorded.size(), 2U);
  EXPECT_EQ(recorded[0].at("end"), "exited");
  expect_conserved(recorded[0]);
  EXPECT_EQ(recorded[1].at("schema"), "alloctrail/oom/1");
  EXPECT_EQ(recorded[1].at("victim").at("pid"), victim.pid());
  EXPECT_FALSE(recorded[1].at("threads").empty());
}

}  // namespace
}  // namespace alloctrail::test
