// SPDX-License-Identifier: Apache-2.0
// One child process of a test with its three standard streams: started, talked to, and always killed and reaped.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/deadline.h"
#include "user/handles.h"

namespace alloctrail::test {

enum class StandardOutput {
  Captured,    ///< read by the test
  Closed,      ///< no descriptor 1 at all
  BrokenPipe,  ///< a pipe that nobody reads any more
};

/// How to start a child. Only `arguments` is needed; arguments[0] is looked up as a path.
struct ChildOptions {
  std::vector<std::string> arguments;
  std::vector<std::string> environment = {};  ///< "NAME=value", added to the test's own
  StandardOutput standard_output = StandardOutput::Captured;
  unsigned long namespaces = 0;  ///< CLONE_NEW* flags
  std::string root = {};         ///< chroot into it; empty: stay
  pid_t wanted_pid = 0;          ///< run under exactly this (free) pid; 0: any
  unsigned long persona = 0;     ///< personality(2) flags, e.g. ADDR_NO_RANDOMIZE
  uid_t user = 0;                ///< drop to this user and its rights before exec
};

class Child {
 public:
  /// Starts the child; throws std::runtime_error if it cannot be started. `deadline` must outlive the child.
  Child(ChildOptions options, const Deadline& deadline);
  Child(Child&&) = delete;
  ~Child();

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// What it was started as, for messages.
  [[nodiscard]] const std::string& name() const { return name_; }
  void write(std::string_view bytes);
  void close_input() { input_.reset(); }
  void signal(int number) const;
  /// The next line of its standard output, without the newline. Throws if the output ends first.
  std::string read_line();
  /// Waits until its standard error contains `text`.
  void wait_error_text(std::string_view text);
  /// Waits for its end and collects all output. Exit code, or 128 + signal number.
  int wait_exit();
  [[nodiscard]] bool has_exited() const { return reaped_; }
  /// All of standard error so far.
  [[nodiscard]] const std::string& error_text() const { return error_text_; }
  /// Lines of standard output that read_line() has not handed out yet.
  std::vector<std::string> take_lines();
  /// All of standard output that read_line() and take_lines() have not handed out yet.
  [[nodiscard]] const std::string& output_text() const { return output_text_; }

 private:
  void wait_until(const std::function<bool()>& condition, std::string_view what);
  bool pump();
  static void drain(UniqueFd& descriptor, std::string& into);
  [[nodiscard]] std::string describe(std::string_view what) const;

  const Deadline& deadline_;
  std::string name_;
  pid_t pid_ = -1;
  UniqueFd pidfd_;
  UniqueFd input_;
  UniqueFd output_;
  UniqueFd error_;
  std::string output_text_;
  std::string error_text_;
  bool ended_ = false;
  bool reaped_ = false;
  int exit_code_ = -1;
};

/// Runs a command to its end and returns its standard output; throws if it does not exit with 0.
std::string run(std::vector<std::string> arguments, const Deadline& deadline);

}  // namespace alloctrail::test
