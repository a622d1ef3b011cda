// SPDX-License-Identifier: Apache-2.0
#include "user/trace/load_watch.h"

#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace alloctrail {

Result<std::unique_ptr<LoadWatch>> LoadWatch::start(Tracer& tracer, UnwindPlanner& unwinding) {
  auto notices = tracer.open_load_notices();
  if (!notices) return std::move(notices).error();
  std::unique_ptr<LoadWatch> watch(new LoadWatch(*std::move(notices), unwinding));
  watch->stop_.reset(eventfd(0, EFD_CLOEXEC));
  if (!watch->stop_)
    return Error{.message = fmt::format("making an eventfd: {}", std::strerror(errno)), .hint = "", .os_error = errno};
  // Signals are the main thread's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  watch->thread_ = std::thread(&LoadWatch::run, watch.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return watch;
}

LoadWatch::~LoadWatch() {
  if (!thread_.joinable()) return;
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void LoadWatch::run() {
  while (true) {
    std::array<pollfd, 2> events{pollfd{.fd = notices_.event_fd(), .events = POLLIN, .revents = 0},
                                 pollfd{.fd = stop_.get(), .events = POLLIN, .revents = 0}};
    if (poll(events.data(), events.size(), -1) < 0) continue;
    if (events[1].revents != 0) return;
    for (const Slot slot : notices_.take()) unwinding_.refresh_announced(slot);
  }
}

}  // namespace alloctrail
