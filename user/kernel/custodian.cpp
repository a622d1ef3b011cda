// SPDX-License-Identifier: Apache-2.0
#include "user/kernel/custodian.h"

#include <fmt/core.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace alloctrail {
namespace {

constexpr size_t kStackBytes = 512 * 1024;

Error system_error(const char* what) {
  return Error{.message = fmt::format("{}: {}", what, std::strerror(errno)), .hint = "", .os_error = errno};
}

void ring(int fd) {
  const uint64_t one = 1;
  while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

void wait_for(int fd) {
  uint64_t count = 0;
  while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR) {
  }
}

}  // namespace

/// The custodian's life: job after job, until there is none left (an empty one) or nobody to ask for more. It uses our
/// memory only while we wait for it, or are no more. Its end closes the descriptors that we left open.
int Custodian::serve(void* self) {
  auto& custodian = *static_cast<Custodian*>(self);
  setsid();  // out of reach of signals to our process group
  while (true) {
    std::array<pollfd, 2> events{pollfd{.fd = custodian.request_.get(), .events = POLLIN, .revents = 0},
                                 pollfd{.fd = custodian.parent_.get(), .events = POLLIN, .revents = 0}};
    if (poll(events.data(), events.size(), -1) < 0) continue;
    if ((events[0].revents & POLLIN) != 0) {
      wait_for(custodian.request_.get());
      if (custodian.job_ == nullptr) _exit(0);
      (*custodian.job_)();
      ring(custodian.done_.get());
    } else if (events[1].revents != 0) {
      _exit(0);
    }
  }
}

Result<std::unique_ptr<Custodian>> Custodian::start() {
  std::unique_ptr<Custodian> custodian(new Custodian);
  custodian->request_.reset(eventfd(0, EFD_CLOEXEC));
  custodian->done_.reset(eventfd(0, EFD_CLOEXEC));
  custodian->parent_.reset(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!custodian->request_ || !custodian->done_ || !custodian->parent_) return system_error("starting the custodian of the probes");
  custodian->stack_ = std::make_unique<char[]>(kStackBytes);

  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  auto top = reinterpret_cast<uintptr_t>(custodian->stack_.get()) + kStackBytes;
  top &= ~uintptr_t{15};
  custodian->pid_ = clone(serve, reinterpret_cast<void*>(top), CLONE_VM | CLONE_FILES | SIGCHLD, custodian.get());
  const int error = errno;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  if (custodian->pid_ < 0) return system_error("starting the custodian of the probes");
  return custodian;
}

Custodian::~Custodian() {
  if (pid_ <= 0) return;
  job_ = nullptr;
  ring(request_.get());
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Custodian::run(const std::function<void()>& job) {
  job_ = &job;
  ring(request_.get());
  wait_for(done_.get());
  job_ = nullptr;
}

}  // namespace alloctrail
