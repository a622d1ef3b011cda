// SPDX-License-Identifier: Apache-2.0
// Before the kill: reports of a process that comes near the limit of its memory cgroup, step by step.
#include <gtest/gtest.h>

#include <csignal>
#include <stdexcept>
#include <string>

#include "tests/support/kernel_test.h"
#include "tests/support/memory_cgroup.h"
#include "tests/support/oom_watch.h"
#include "tests/support/report.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tracer.h"
#include "tests/support/workload.h"

namespace alloctrail::test {
namespace {

using nlohmann::json;

constexpr uint64_t kLimit = 64u << 20;
constexpr uint64_t kBlock = 65536;  // of the program; 1024 of them fill the limit
constexpr int kKilled = 128 + SIGKILL;

/// A program that allocates as many blocks as it is told.
class Stepper {
 public:
  Stepper(const MemoryCgroup& cgroup, const Deadline& deadline)
      : workload_({WORKLOAD_DIR "/oom_no_frame_pointers", "steps", cgroup.directory()}, deadline) {
    if (!cgroup.holds(pid())) throw std::runtime_error("the program is not in its cgroup");
  }
  [[nodiscard]] pid_t pid() const { return workload_.pid(); }
  /// Allocates until it has allocated this share of the limit.
  void fill(uint64_t percent) {
    const uint64_t blocks = kLimit / kBlock * percent / 100;
    workload_.go_without_truth(std::to_string(blocks - blocks_));
    workload_.wait_ready();
    blocks_ = blocks;
  }
  void fill_and_die() {
    workload_.go_without_truth("2000");
    EXPECT_EQ(workload_.child().wait_exit(), kKilled);
  }

 private:
  Workload workload_;
  uint64_t blocks_ = 0;
};

class OomWarning : public KernelTest {
 protected:
  MemoryCgroup cgroup{kLimit};
};

void expect_warning(const json& report, pid_t pid, const MemoryCgroup& cgroup, uint32_t percent) {
  EXPECT_EQ(report.at("process").at("pid"), pid);
  const json& limit = report.at("host").at("nearest_limit");
  EXPECT_EQ(limit.at("cgroup"), cgroup.path());
  EXPECT_EQ(limit.at("limit_bytes"), kLimit);
  EXPECT_EQ(report.at("host").at("warned_percent"), percent) << limit.dump();
  EXPECT_GE(limit.at("use_bytes").get<uint64_t>(), kLimit / 100 * percent);
  expect_conserved(report);
}

TEST_F(OomWarning, EveryStepIsToldOnceAndThenTheKill) {
  Stepper program(cgroup, deadline);
  OomWatch watch({"-p", std::to_string(program.pid()), "--warn-at", "80%"}, deadline);
  program.fill(60);
  program.fill(82);
  const json first = watch.next_report();
  expect_warning(first, program.pid(), cgroup, 80);
  EXPECT_LT(first.at("totals").at("outstanding_bytes").get<uint64_t>(), kLimit / 100 * 82);
  EXPECT_GT(first.at("totals").at("outstanding_bytes").get<uint64_t>(), kLimit / 100 * 60);
  program.fill(88);
  expect_warning(watch.next_report(), program.pid(), cgroup, 85);
  program.fill_and_die();
  // Between here and the end there are as many more as time allowed.
  json last = watch.next_report();
  while (last.at("schema") != "alloctrail/oom/1") {
    EXPECT_NE(last.value("/host/warned_percent"_json_pointer, json()), json(85));
    last = watch.next_report();
  }
  EXPECT_EQ(last.at("victim").at("pid"), program.pid());
  EXPECT_EQ(watch.finish().size(), 0U);
}

/// A file larger than the cgroup, read from within it when none of it is in memory.
void fill_with_page_cache(const MemoryCgroup& cgroup, const std::string& file, const Deadline& deadline) {
  const std::string write = "dd if=/dev/zero of=" + file + " bs=1M count=80 conv=fsync status=none";
  const std::string forget = "dd of=" + file + " oflag=nocache conv=notrunc,fdatasync count=0 status=none";
  const std::string enter = "echo $$ > " + cgroup.directory() + "/cgroup.procs";
  run({"/bin/sh", "-c", write + " && " + forget + " && " + enter + " && exec cat " + file + " > /dev/null"}, deadline);
}

TEST_F(OomWarning, PageCacheIsNoReasonToWarnAndTakingItBackIsTold) {
  Stepper program(cgroup, deadline);
  OomWatch watch({"-p", std::to_string(program.pid()), "--warn-at", "80"}, deadline);
  const TempDir directory;
  fill_with_page_cache(cgroup, directory.file("cached"), deadline);
  EXPECT_GT(cgroup.usage_bytes(), kLimit / 100 * 90);
  program.fill(40);
  const json notice = watch.next_report();
  ASSERT_EQ(notice.at("schema"), "alloctrail/reclaim/1") << notice.dump();
  EXPECT_EQ(notice.at("pid"), program.pid());
  EXPECT_EQ(notice.at("thread").at("name"), "victim");
  EXPECT_EQ(notice.at("nearest_limit").at("cgroup"), cgroup.path());
  EXPECT_LT(notice.at("nearest_limit").at("use_bytes").get<uint64_t>(), kLimit / 2);
  EXPECT_EQ(notice.at("stack").at("status"), "complete");
  bool in_leak = false;
  for (const json& frame : notice.at("stack").at("frames")) in_leak |= frame.at("function") == "leak_inner";
  EXPECT_TRUE(in_leak) << notice.at("stack").dump();
  program.fill(82);
  json next = watch.next_report();
  if (next.at("schema") == "alloctrail/reclaim/1") next = watch.next_report();  // once more from 80 % on
  expect_warning(next, program.pid(), cgroup, 80);
}

}  // namespace
}  // namespace alloctrail::test
