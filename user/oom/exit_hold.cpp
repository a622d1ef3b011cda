// SPDX-License-Identifier: Apache-2.0
#include "user/oom/exit_hold.h"

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "user/target/proc_file.h"

namespace alloctrail {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kLookEveryNs = 100'000;

}  // namespace

ExitHold::ExitHold(Tgid pid, std::chrono::milliseconds budget) {
  const auto end = Clock::now() + budget;
  seize(pid);
  while (!threads_.empty() && !held_ && Clock::now() < end) {
    look();
    if (held_) break;
    const timespec pause{.tv_sec = 0, .tv_nsec = kLookEveryNs};
    nanosleep(&pause, nullptr);
  }
}

void ExitHold::seize(Tgid pid) {
  for (const pid_t tid : numbered_entries(proc_path(static_cast<pid_t>(raw(pid)), "task"))) {
    if (ptrace(PTRACE_SEIZE, tid, nullptr, PTRACE_O_TRACEEXIT) == 0) {
      threads_.push_back({.tid = tid});
    } else if (errno != ESRCH) {
      // Somebody else traces it, or we may not.
      refusal_ = std::strerror(errno);
    }
  }
}

/// Which have stopped, and which are gone without having stopped.
void ExitHold::look() {
  std::erase_if(threads_, [this](Thread& thread) {
    if (thread.stopped) return false;
    int status = 0;
    const pid_t got = waitpid(thread.tid, &status, __WALL | WNOHANG);
    if (got == 0) return false;
    if (got < 0 || !WIFSTOPPED(status)) return true;
    const bool exiting = status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8));
    thread.stopped = exiting;
    if (!exiting) (void)ptrace(PTRACE_DETACH, thread.tid, nullptr, nullptr);
    held_ |= exiting;
    return !exiting;
  });
}

bool ExitHold::release() {
  look();
  std::erase_if(threads_, [](const Thread& thread) {
    return thread.stopped && (ptrace(PTRACE_DETACH, thread.tid, nullptr, nullptr) == 0 || errno == ESRCH);
  });
  return threads_.empty();
}

}  // namespace alloctrail
