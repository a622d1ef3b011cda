// SPDX-License-Identifier: Apache-2.0
#include "user/target/host_reader.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace alloctrail {
namespace {

const HostProcess* find(const HostSnapshot& snapshot, pid_t pid) {
  const auto found = std::ranges::find(snapshot.processes, Tgid{static_cast<uint32_t>(pid)}, &HostProcess::pid);
  return found == snapshot.processes.end() ? nullptr : &*found;
}

pid_t sleeping_child() {
  const pid_t pid = fork();
  if (pid == 0)
    for (;;) pause();
  return pid;
}

TEST(HostReader, OwnProcessIsReadWithItsFigures) {
  HostReader reader;
  const auto snapshot = reader.read();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  const HostProcess* self = find(*snapshot, getpid());
  ASSERT_NE(self, nullptr);
  EXPECT_EQ(self->parent, Tgid{static_cast<uint32_t>(getppid())});
  EXPECT_NE(self->start_ticks, 0u);
  EXPECT_EQ(self->memory.vm_rss_bytes,
            self->memory.rss_anon_bytes + self->memory.rss_file_bytes + self->memory.rss_shmem_bytes);
  EXPECT_GT(snapshot->memory.total_bytes, 0u);
}

TEST(HostReader, GrowthShowsInTheNextReadAndTheEndInTheOneAfter) {
  HostReader reader;
  const pid_t child = sleeping_child();
  auto snapshot = reader.read();
  ASSERT_TRUE(snapshot);
  EXPECT_NE(find(*snapshot, child), nullptr);
  const uint64_t before = find(*snapshot, getpid())->memory.rss_anon_bytes;
  std::vector<char> block(32 << 20, 'x');
  snapshot = reader.read();
  ASSERT_TRUE(snapshot);
  EXPECT_GE(find(*snapshot, getpid())->memory.rss_anon_bytes, before + block.size() - (1 << 20));
  kill(child, SIGKILL);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  snapshot = reader.read();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(find(*snapshot, child), nullptr);  // a zombie has no memory
  waitpid(child, nullptr, 0);
  snapshot = reader.read();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(find(*snapshot, child), nullptr);
}

TEST(HostReader, GivenProcessThatIsGoneIsCountedAsVanished) {
  HostReader reader;
  const auto snapshot = reader.read(std::vector<Tgid>{Tgid{static_cast<uint32_t>(getpid())}, Tgid{0x7ffffff0}});
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->processes.size(), 1u);
  EXPECT_EQ(snapshot->vanished, 1u);
  EXPECT_EQ(snapshot->unreadable, 0u);
}

TEST(HostReader, KernelThreadsAreNotListed) {
  HostReader reader;
  const auto snapshot = reader.read();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(find(*snapshot, 2), nullptr);
  for (const HostProcess& process : snapshot->processes) EXPECT_GT(process.memory.vm_size_bytes, 0u) << process.comm;
}

TEST(HidePid, OnlyAProcThatHidesIsFound) {
  EXPECT_FALSE(hides_processes(""));
  EXPECT_FALSE(hides_processes("21 1 0:5 / /proc rw,relatime shared:2 - proc proc rw\n"));
  EXPECT_FALSE(hides_processes("21 1 0:5 / /proc rw - proc proc rw,hidepid=0\n"));
  EXPECT_FALSE(hides_processes("21 1 0:5 / /proc rw - proc proc rw,hidepid=1\n"));  // listed, and counted as unreadable
  EXPECT_FALSE(hides_processes("21 1 0:5 / /other rw - proc proc rw,hidepid=2\n"));
  EXPECT_TRUE(hides_processes("1 1 1:1 / / rw - ext4 x rw\n21 1 0:5 / /proc rw - proc proc rw,hidepid=2\n"));
  EXPECT_TRUE(hides_processes("21 1 0:5 / /proc rw - proc proc rw,hidepid=invisible,gid=3\n"));
}

}  // namespace
}  // namespace alloctrail
