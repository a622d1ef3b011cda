// SPDX-License-Identifier: Apache-2.0
#include "user/target/process.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <functional>
#include <thread>

#include "user/target/figures.h"
#include "user/target/mappings.h"
#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

Tgid tgid(pid_t id) {
  return Tgid{static_cast<uint32_t>(id)};
}

/// A child that prepares itself, says so, and then waits to be killed.
class Child {
 public:
  explicit Child(const std::function<void()>& prepare = [] {}) {
    int ready[2];
    if (pipe(ready) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      prepare();
      if (write(ready[1], "x", 1) != 1) _exit(1);
      for (;;) pause();
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) std::abort();
    close(ready[0]);
    close(ready[1]);
  }
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

void wait_until_zombie(pid_t id) {
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(id), &info, WEXITED | WNOWAIT);
}

TEST(Process, RunningProcessIsOpenedWithItsIdentity) {
  const Child child;
  const auto target = open_target(tgid(child.pid()));
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_EQ(target->identity.pid, tgid(child.pid()));
  EXPECT_EQ(target->identity.start_ticks, read_stat(child.pid())->start_ticks);
  EXPECT_EQ(raw(target->live_thread), static_cast<uint32_t>(child.pid()));
  EXPECT_TRUE(still_same(target->identity));
}

TEST(Process, PidfdBecomesReadableAndIdentityEndsWithTheProcess) {
  const Child child;
  const auto target = open_target(tgid(child.pid()));
  ASSERT_TRUE(target);
  pollfd waiting{target->pidfd.get(), POLLIN, 0};
  EXPECT_EQ(poll(&waiting, 1, 0), 0);
  kill(child.pid(), SIGKILL);
  EXPECT_EQ(poll(&waiting, 1, 10000), 1);
  EXPECT_FALSE(still_same(target->identity));  // a zombie by now: there, but gone
}

TEST(Process, SameNumberWithAnotherStartTimeIsAnotherProcess) {
  const Child child;
  const auto target = open_target(tgid(child.pid()));
  ASSERT_TRUE(target);
  EXPECT_FALSE(still_same({target->identity.pid, target->identity.start_ticks + 1}));
}

TEST(Process, NumberNobodyHasIsRefused) {
  for (const uint32_t number : {0u, 0x7ffffff0u, 0xffffffffu}) {
    const auto target = open_target(Tgid{number});
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().message, "there is no process " + std::to_string(number));
    EXPECT_EQ(target.error().kind, ErrorKind::Failed);
    EXPECT_NE(target.error().hint, "");
  }
}

TEST(Process, OwnProcessIsRefused) {
  const auto target = open_target(tgid(getpid()));
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().kind, ErrorKind::Usage);
  EXPECT_EQ(target.error().message, "process " + std::to_string(getpid()) + " is alloctrail itself");
}

TEST(Process, ThreadIdIsRefusedWithItsProcess) {
  pid_t thread = 0;
  int ready[2], stop[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(stop), 0);
  std::thread other([&] {
    const auto id = static_cast<pid_t>(syscall(SYS_gettid));
    char byte;
    if (write(ready[1], &id, sizeof(id)) != sizeof(id) || read(stop[0], &byte, 1) != 1) std::abort();
  });
  ASSERT_EQ(read(ready[0], &thread, sizeof(thread)), static_cast<ssize_t>(sizeof(thread)));
  const auto target = open_target(tgid(thread));
  ASSERT_EQ(write(stop[1], "x", 1), 1);
  other.join();
  for (const int fd : {ready[0], ready[1], stop[0], stop[1]}) close(fd);
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().kind, ErrorKind::Usage);
  EXPECT_EQ(target.error().message,
            std::to_string(thread) + " is a thread of process " + std::to_string(getpid()) + ", not a process");
}

TEST(Process, KernelThreadIsRefused) {
  const auto stat = read_stat(2);  // kthreadd, where the pid namespace shows it
  if (!stat || !stat->kernel_thread()) GTEST_SKIP() << "no kernel thread is visible here";
  const auto target = open_target(tgid(2));
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().kind, ErrorKind::NotSupported);
  EXPECT_EQ(target.error().message, "process 2 is a kernel thread");
}

TEST(Process, DeadProcessIsRefused) {
  const Child child;
  kill(child.pid(), SIGKILL);
  wait_until_zombie(child.pid());
  const auto target = open_target(tgid(child.pid()));
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().message,
            "process " + std::to_string(child.pid()) + " has ended; its parent has not collected it yet");
  EXPECT_FALSE(read_figures(tgid(child.pid())));
}

/// A 32-bit program that waits for ever: pause(); jump back.
std::vector<uint8_t> program_of_32_bits() {
  const std::vector<uint8_t> code = {0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7};
  const uint32_t start = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr), base = 0x10000;
  Elf32_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = header.e_version = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_386;
  header.e_entry = base + start;
  header.e_phoff = header.e_ehsize = sizeof(header);
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 1;
  const auto size = static_cast<uint32_t>(start + code.size());
  const Elf32_Phdr load{PT_LOAD, 0, base, base, size, size, PF_R | PF_X, 0x1000};
  std::vector<uint8_t> out(size);
  std::memcpy(out.data(), &header, sizeof(header));
  std::memcpy(out.data() + sizeof(header), &load, sizeof(load));
  std::memcpy(out.data() + start, code.data(), code.size());
  return out;
}

TEST(Process, ProgramOf32BitsIsRefused) {
  const std::vector<uint8_t> program = program_of_32_bits();
  const UniqueFd file(memfd_create("program", MFD_CLOEXEC));
  ASSERT_EQ(write(file.get(), program.data(), program.size()), static_cast<ssize_t>(program.size()));
  int started[2];
  ASSERT_EQ(pipe2(started, O_CLOEXEC), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    char* const none[] = {nullptr};
    fexecve(file.get(), none, none);
    if (write(started[1], "x", 1) != 1) _exit(1);
    _exit(127);
  }
  close(started[1]);
  char byte;
  const bool runs = read(started[0], &byte, 1) == 0;  // exec has closed the other end
  close(started[0]);
  const auto target = open_target(tgid(pid));
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  if (!runs) GTEST_SKIP() << "this kernel does not run 32-bit programs";
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().kind, ErrorKind::NotSupported);
  EXPECT_EQ(target.error().message, "process " + std::to_string(pid) + " is a 32-bit program");
}

TEST(Process, AnotherUsersProcessIsRefusedWithWhatToDo) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
    const auto target = open_target(tgid(1));
    const bool right = !target && target.error().kind == ErrorKind::NotSupported && !target.error().hint.empty() &&
                       target.error().message == "not permitted to look at process 1";
    _exit(right ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

/// A child whose main thread has exited while another one lives on.
class ChildWithoutMainThread {
 public:
  ChildWithoutMainThread() {
    int ready[2];
    if (pipe(ready) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      std::thread([out = ready[1]] {
        // The main thread is a zombie once its state says so; only it can tell.
        while (!read_stat(getpid())->dead()) std::this_thread::yield();
        if (write(out, "x", 1) != 1) _exit(1);
        for (;;) pause();
      }).detach();
      syscall(SYS_exit, 0);
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) std::abort();
    close(ready[0]);
    close(ready[1]);
  }
  ~ChildWithoutMainThread() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  ChildWithoutMainThread(const ChildWithoutMainThread&) = delete;
  ChildWithoutMainThread& operator=(const ChildWithoutMainThread&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

TEST(Process, ProcessWhoseMainThreadHasExitedIsReachedThroughAnother) {
  const ChildWithoutMainThread child;
  const auto target = open_target(tgid(child.pid()));
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_NE(raw(target->live_thread), static_cast<uint32_t>(child.pid()));
  EXPECT_TRUE(still_same(target->identity));
  const auto mappings = read_mappings(tgid(child.pid()));
  ASSERT_TRUE(mappings);
  const auto code = std::ranges::find_if(*mappings, [](const Mapping& m) { return m.executable && m.file.inode != 0; });
  ASSERT_NE(code, mappings->end());
  EXPECT_TRUE(open_mapped_file(tgid(child.pid()), *code));
  const auto figures = read_figures(tgid(child.pid()));
  ASSERT_TRUE(figures);
  EXPECT_GT(figures->memory.vm_rss_bytes, 0u);
}

TEST(Process, StatWithBracketsAndBlanksInTheNameIsParsed) {
  const auto stat = parse_stat("17 (a) R (b)) S 1 17 17 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->flags, 4194560u);
  EXPECT_EQ(stat->start_ticks, 987654u);
  EXPECT_FALSE(parse_stat("17 (a) S 1 17"));
  EXPECT_FALSE(parse_stat(""));
}

TEST(Figures, NamesAndMemoryOfAProcessAreRead) {
  const Child child([] { prctl(PR_SET_NAME, "two words"); });
  const auto figures = read_figures(tgid(child.pid()));
  ASSERT_TRUE(figures);
  EXPECT_EQ(figures->pid, tgid(child.pid()));
  EXPECT_EQ(figures->comm, "two words");
  EXPECT_EQ(figures->memory.threads, 1u);
  EXPECT_GT(figures->memory.vm_rss_bytes, 0u);
  EXPECT_GE(figures->memory.vm_size_bytes, figures->memory.vm_data_bytes);
  EXPECT_GT(figures->memory.vm_data_bytes, 0u);
}

TEST(Figures, ArgumentsAreJoinedByBlanks) {
  int in[2], out[2];
  ASSERT_EQ(pipe2(in, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    execl("/bin/sh", "sh", "-c", "echo; read line", "third argument", nullptr);
    _exit(127);
  }
  char byte;
  ASSERT_EQ(read(out[0], &byte, 1), 1);  // the shell runs, and waits for a line that never comes
  const auto figures = read_figures(tgid(pid));
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  for (const int fd : {in[0], in[1], out[0], out[1]}) close(fd);
  ASSERT_TRUE(figures);
  EXPECT_EQ(figures->command, "sh -c echo; read line third argument");
}

TEST(Figures, ThreadsAreListedWithTheirNames) {
  const Child child([] {
    static int ready[2];
    if (pipe(ready) != 0) _exit(1);
    std::thread([] {
      pthread_setname_np(pthread_self(), "worker");
      if (write(ready[1], "x", 1) != 1) _exit(1);
      for (;;) pause();
    }).detach();
    char byte;
    if (read(ready[0], &byte, 1) != 1) _exit(1);
    prctl(PR_SET_NAME, "main");
  });
  const std::vector<ThreadName> threads = read_threads(tgid(child.pid()));
  ASSERT_EQ(threads.size(), 2u);
  EXPECT_EQ(raw(threads[0].tid), static_cast<uint32_t>(child.pid()));
  EXPECT_EQ(threads[0].comm, "main");
  EXPECT_EQ(threads[1].comm, "worker");
  EXPECT_TRUE(read_threads(Tgid{0x7ffffff0}).empty());
}

TEST(StatusFile, ValueIsFoundByItsWholeKey) {
  const std::string_view status = "Name:\tx\nVmRSSx:\t1 kB\nVmRSS:\t   12 kB\nEmpty:\t\nLast:\t7";
  EXPECT_EQ(status_value(status, "VmRSS"), "12 kB");
  EXPECT_EQ(status_value(status, "Empty"), "");
  EXPECT_EQ(status_value(status, "Last"), "7");
  EXPECT_EQ(status_value(status, "Vm"), "");
}

}  // namespace
}  // namespace alloctrail
