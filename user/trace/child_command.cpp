// SPDX-License-Identifier: Apache-2.0
#include "user/trace/child_command.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace alloctrail {
namespace {

constexpr int kCannotExecute = 127;

/// The child between fork and exec: waits until it may go, then becomes the command or reports why not.
[[noreturn]] void become_command(int go, int failure, char* const* arguments) {
  prctl(PR_SET_PDEATHSIG, SIGCONT);  // should alloctrail die while the command is stopped, it goes on
  char byte = 0;
  while (read(go, &byte, 1) < 0 && errno == EINTR) {
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  execvp(arguments[0], arguments);
  const int error = errno;
  (void)!write(failure, &error, sizeof(error));
  _exit(kCannotExecute);
}

Error system_error(const char* what) {
  return Error{.message = fmt::format("{}: {}", what, std::strerror(errno)), .hint = "", .os_error = errno};
}

}  // namespace

Result<ChildCommand> ChildCommand::fork(const std::vector<std::string>& command) {
  ALLOCTRAIL_CHECK(!command.empty());
  std::array<int, 2> go{};
  std::array<int, 2> failure{};
  if (pipe2(go.data(), O_CLOEXEC) != 0) return system_error("making a pipe");
  UniqueFd go_read(go[0]);
  UniqueFd go_write(go[1]);
  if (pipe2(failure.data(), O_CLOEXEC) != 0) return system_error("making a pipe");
  UniqueFd failure_read(failure[0]);
  UniqueFd failure_write(failure[1]);

  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("starting a process for the command");
  if (pid == 0) {
    go_write.reset();
    become_command(go_read.get(), failure_write.get(), arguments.data());
  }
  return ChildCommand(Tgid(static_cast<uint32_t>(pid)), std::move(go_write), std::move(failure_read), command[0]);
}

ChildCommand::ChildCommand(Tgid pid, UniqueFd go, UniqueFd failure, std::string name)
    : pid_(pid), go_(std::move(go)), failure_(std::move(failure)), name_(std::move(name)) {}

/// A child that never ran is ended; one that runs is left running, and reaped if it has ended already.
ChildCommand::~ChildCommand() {
  const auto pid = static_cast<pid_t>(raw(pid_));
  if (go_ && kill(pid, SIGKILL) == 0) waitpid(pid, nullptr, 0);
  if (!go_ && failure_) waitpid(pid, nullptr, WNOHANG);
}

Status ChildCommand::run() {
  go_.reset();
  int error = 0;
  ssize_t got = 0;
  while ((got = read(failure_.get(), &error, sizeof(error))) < 0 && errno == EINTR) {
  }
  if (got != sizeof(error)) return ok();
  return Error{.kind = ErrorKind::Usage,
               .message = fmt::format("cannot execute '{}': {}", name_, std::strerror(error)),
               .hint = "give the program's path, or a name found in PATH, after --",
               .os_error = error};
}

void ChildCommand::resume() const { kill(static_cast<pid_t>(raw(pid_)), SIGCONT); }

}  // namespace alloctrail
