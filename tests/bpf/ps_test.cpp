// SPDX-License-Identifier: Apache-2.0
// alloctrail ps on real processes. It needs neither root nor BPF; root lets the tests drop to another user.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "tests/support/kernel_test.h"
#include "tests/support/tracer.h"

namespace alloctrail::test {
namespace {

class Ps : public KernelTest {};

/// Processes that only wait, and one that touches memory at a steady rate.
class Crowd {
 public:
  explicit Crowd(size_t waiting) {
    for (size_t i = 0; i < waiting; ++i)
      start([] {
        for (;;) pause();
      });
  }
  pid_t add_growing(size_t bytes_per_second) {
    return start([=] {
      constexpr size_t kSize = 64 << 20;
      char* memory =
          static_cast<char*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      madvise(memory, kSize, MADV_NOHUGEPAGE);
      for (size_t at = 0; at < kSize; at += 4096) {
        memory[at] = 1;
        usleep(static_cast<useconds_t>(4096 * 1'000'000ull / bytes_per_second));
      }
      for (;;) pause();
    });
  }
  [[nodiscard]] bool has(pid_t pid) const { return std::ranges::find(pids_, pid) != pids_.end(); }
  ~Crowd() {
    for (const pid_t pid : pids_) kill(pid, SIGKILL);
    for (const pid_t pid : pids_) waitpid(pid, nullptr, 0);
  }

 private:
  template <class Body>
  pid_t start(Body body) {
    const pid_t pid = fork();
    if (pid == 0) {
      body();
      _exit(0);
    }
    if (pid < 0) throw std::runtime_error("fork");
    pids_.push_back(pid);
    return pid;
  }
  std::vector<pid_t> pids_;
};

TEST_F(Ps, TheGrowingOneOf300StandsFirstWithinFiveIntervals) {
  Crowd crowd(299);
  const pid_t growing = crowd.add_growing((1 << 20) / 60);
  Child ps({.arguments = {Tracer::binary(), "ps", "-i", "2s", "-n", "6", "--json-lines"}}, deadline);
  ASSERT_EQ(ps.wait_exit(), 0) << ps.error_text();
  const auto lines = ps.take_lines();
  ASSERT_EQ(lines.size(), 6u);
  const auto last = nlohmann::json::parse(lines.back());
  EXPECT_GE(last["processes"].size(), 300u);
  // What else runs on this machine, a compiler for one, may really grow faster.
  const auto first = *std::ranges::find_if(last["processes"], [&](const auto& row) { return crowd.has(row["pid"]); });
  EXPECT_EQ(first["pid"], growing) << first.dump();
  EXPECT_TRUE(first["grows"]);
  EXPECT_LE(first["growth_bytes_per_h"]["lower"].get<double>(), 60.0 * (1 << 20));
  EXPECT_GE(first["growth_bytes_per_h"]["upper"].get<double>(), 50.0 * (1 << 20));
}

TEST_F(Ps, TwoThousandProcessesAreAllListedEachTime) {
  Crowd crowd(2000);
  Child ps({.arguments = {Tracer::binary(), "ps", "-i", "100ms", "-n", "3", "--json-lines"}}, deadline);
  ASSERT_EQ(ps.wait_exit(), 0) << ps.error_text();
  for (const std::string& line : ps.take_lines()) EXPECT_GE(nlohmann::json::parse(line)["processes"].size(), 2000u);
}

TEST_F(Ps, NeedsNoRightsForOwnProcesses) {
  Child sleeper({.arguments = {"/bin/sleep", "1000"}, .user = 65534}, deadline);
  Child ps({.arguments = {Tracer::binary(), "ps", "-n", "1", "--json-lines", "--pss"}, .user = 65534}, deadline);
  ASSERT_EQ(ps.wait_exit(), 0) << ps.error_text();
  const auto report = nlohmann::json::parse(ps.read_line());
  bool found = false;
  for (const auto& process : report["processes"])
    if (process["pid"] == sleeper.pid()) {
      found = true;
      EXPECT_GT(process["rss_bytes"], 0);
      EXPECT_GT(process["pss_bytes"], 0);
    }
  EXPECT_TRUE(found);
  sleeper.signal(SIGKILL);
  sleeper.wait_exit();
}

TEST_F(Ps, ProcessesThatComeAndGoDoNotDisturbIt) {
  std::jthread churn([](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const pid_t pid = fork();
      if (pid == 0) _exit(0);
      waitpid(pid, nullptr, 0);
    }
  });
  Child ps({.arguments = {Tracer::binary(), "ps", "-i", "100ms", "-n", "20", "--json-lines"}}, deadline);
  EXPECT_EQ(ps.wait_exit(), 0) << ps.error_text();
  EXPECT_EQ(ps.error_text(), "");
  EXPECT_EQ(ps.take_lines().size(), 20u);
}

TEST_F(Ps, CgroupThatIsNoneIsAUsageError) {
  Child ps({.arguments = {Tracer::binary(), "ps", "-n", "1", "--cgroup", "/no/such"}}, deadline);
  EXPECT_EQ(ps.wait_exit(), 2);
  EXPECT_NE(ps.error_text().find("'/no/such' is no cgroup"), std::string::npos) << ps.error_text();
}

}  // namespace
}  // namespace alloctrail::test
