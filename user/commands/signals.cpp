// SPDX-License-Identifier: Apache-2.0
#include "user/commands/signals.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace alloctrail {

Result<SignalRequests> SignalRequests::open() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&mask, number);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  signal(SIGPIPE, SIG_IGN);
  UniqueFd fd(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return Error{.message = fmt::format("waiting for signals: {}", std::strerror(errno)), .hint = "", .os_error = errno};
  return SignalRequests(std::move(fd));
}

Request SignalRequests::take() const {
  signalfd_siginfo info{};
  if (read(fd_.get(), &info, sizeof(info)) != sizeof(info)) return Request::None;
  return info.ssi_signo == SIGUSR1 ? Request::ReportNow : Request::Stop;
}

}  // namespace alloctrail
