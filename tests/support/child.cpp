// SPDX-License-Identifier: Apache-2.0
// Child: clone3 with what the test asked for, one poll loop over its streams and its pidfd.
#include "tests/support/child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

namespace alloctrail::test {
namespace {

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(std::string("pipe: ") + std::strerror(errno));
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
  }
};

struct Streams {
  Pipe input;
  Pipe output;
  Pipe error;
  Pipe exec_failure;
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
  std::vector<std::string> result = extra;
  for (char** entry = environ; *entry != nullptr; ++entry) result.emplace_back(*entry);
  return result;
}

long clone_child(const ChildOptions& options) {
  pid_t wanted = options.wanted_pid;
  clone_args arguments{};
  arguments.flags = options.namespaces;
  arguments.exit_signal = SIGCHLD;
  if (wanted != 0) {
    arguments.set_tid = reinterpret_cast<uint64_t>(&wanted);
    arguments.set_tid_size = 1;
  }
  return ::syscall(SYS_clone3, &arguments, sizeof(arguments));
}

bool connect_streams(const ChildOptions& options, Streams& streams) {
  if (::dup2(streams.input.read_end.get(), 0) < 0 || ::dup2(streams.error.write_end.get(), 2) < 0) return false;
  if (options.standard_output == StandardOutput::Closed) return ::close(1) == 0 || errno == EBADF;
  if (options.standard_output == StandardOutput::BrokenPipe) streams.output.read_end.reset();
  return ::dup2(streams.output.write_end.get(), 1) >= 0;
}

bool enter_surroundings(const ChildOptions& options) {
  if (!options.root.empty() && (::chroot(options.root.c_str()) != 0 || ::chdir("/") != 0)) return false;
  if (options.persona != 0 && ::personality(options.persona) == -1) return false;
  if (options.user == 0) return true;
  return ::setgroups(0, nullptr) == 0 && ::setresgid(options.user, options.user, options.user) == 0 &&
         ::setresuid(options.user, options.user, options.user) == 0;
}

[[noreturn]] void become(const ChildOptions& options, Streams& streams, char** arguments, char** environment) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_DFL);
  if (connect_streams(options, streams) && enter_surroundings(options)) ::execve(arguments[0], arguments, environment);
  const int failure = errno;
  [[maybe_unused]] const ssize_t written = ::write(streams.exec_failure.write_end.get(), &failure, sizeof(failure));
  ::_exit(127);
}

std::string joined(const std::vector<std::string>& words) {
  std::string result;
  for (const std::string& word : words) result += (result.empty() ? "" : " ") + word;
  return result;
}

}  // namespace

Child::Child(ChildOptions options, const Deadline& deadline) : deadline_(deadline), name_(joined(options.arguments)) {
  ::signal(SIGPIPE, SIG_IGN);
  Streams streams;
  std::vector<std::string> environment = merged_environment(options.environment);
  const std::vector<char*> argument_pointers = pointers(options.arguments);
  const std::vector<char*> environment_pointers = pointers(environment);
  const long cloned = clone_child(options);
  if (cloned < 0) throw std::runtime_error(name_ + ": clone3: " + std::strerror(errno));
  if (cloned == 0)
    become(options, streams, const_cast<char**>(argument_pointers.data()),
           const_cast<char**>(environment_pointers.data()));
  pid_ = static_cast<pid_t>(cloned);
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  streams.exec_failure.write_end.reset();
  int failure = 0;
  if (::read(streams.exec_failure.read_end.get(), &failure, sizeof(failure)) == sizeof(failure)) {
    ::waitpid(pid_, nullptr, 0);
    throw std::runtime_error(name_ + ": cannot start: " + std::strerror(failure));
  }
  input_ = std::move(streams.input.write_end);
  if (options.standard_output == StandardOutput::Captured) output_ = std::move(streams.output.read_end);
  error_ = std::move(streams.error.read_end);
  for (const UniqueFd* stream : {&output_, &error_}) ::fcntl(stream->get(), F_SETFL, O_NONBLOCK);
}

Child::~Child() {
  if (reaped_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Child::write(std::string_view bytes) {
  if (::write(input_.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error(describe("cannot write to it"));
}

void Child::signal(int number) const {
  if (::kill(pid_, number) != 0) throw std::runtime_error(describe("cannot signal it"));
}

std::string Child::read_line() {
  size_t end = std::string::npos;
  const auto has_line = [&] { return (end = output_text_.find('\n')) != std::string::npos; };
  wait_until([&] { return has_line() || !output_; }, "a line on its standard output");
  if (!has_line()) throw std::runtime_error(describe("its standard output ended, but a line was expected"));
  std::string line = output_text_.substr(0, end);
  output_text_.erase(0, end + 1);
  return line;
}

void Child::wait_error_text(std::string_view text) {
  const auto has_text = [&] { return error_text_.find(text) != std::string::npos; };
  wait_until([&] { return has_text() || !error_ || ended_; }, "'" + std::string(text) + "' on its standard error");
  drain(error_, error_text_);
  if (!has_text()) throw std::runtime_error(describe("ended without saying '" + std::string(text) + "'"));
}

int Child::wait_exit() {
  if (reaped_) return exit_code_;
  wait_until([this] { return ended_; }, "its end");
  drain(output_, output_text_);
  drain(error_, error_text_);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  reaped_ = true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

std::vector<std::string> Child::take_lines() {
  std::vector<std::string> lines;
  for (size_t end = 0; (end = output_text_.find('\n')) != std::string::npos; output_text_.erase(0, end + 1))
    lines.push_back(output_text_.substr(0, end));
  return lines;
}

void Child::wait_until(const std::function<bool()>& condition, std::string_view what) {
  while (!condition())
    if (!pump()) throw TimedOut(describe("waited in vain for " + std::string(what)));
}

bool Child::pump() {
  std::array<pollfd, 3> waits{{{output_ ? output_.get() : -1, POLLIN, 0},
                               {error_ ? error_.get() : -1, POLLIN, 0},
                               {ended_ ? -1 : pidfd_.get(), POLLIN, 0}}};
  const int ready = ::poll(waits.data(), waits.size(), deadline_.left_ms());
  if (ready == 0) return false;
  drain(output_, output_text_);
  drain(error_, error_text_);
  if ((waits[2].revents & POLLIN) != 0) ended_ = true;
  return true;
}

void Child::drain(UniqueFd& descriptor, std::string& into) {
  std::array<char, 65536> buffer;
  while (descriptor) {
    const ssize_t count = ::read(descriptor.get(), buffer.data(), buffer.size());
    if (count > 0) {
      into.append(buffer.data(), static_cast<size_t>(count));
    } else if (count == 0) {
      descriptor.reset();
    } else if (errno != EINTR) {
      return;
    }
  }
}

std::string Child::describe(std::string_view what) const {
  return name_ + " (pid " + std::to_string(pid_) + "): " + std::string(what) + "; its standard error:\n" + error_text_;
}

std::string run(std::vector<std::string> arguments, const Deadline& deadline) {
  Child child({.arguments = std::move(arguments)}, deadline);
  child.close_input();
  if (const int code = child.wait_exit(); code != 0)
    throw std::runtime_error(child.name() + ": exit code " + std::to_string(code) + ": " + child.error_text());
  return child.output_text();
}

}  // namespace alloctrail::test
