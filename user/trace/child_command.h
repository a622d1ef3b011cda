// SPDX-License-Identifier: Apache-2.0
// A command started under the trace. It stops itself (the kernel half sends SIGSTOP) when it begins its program and when
// its libraries are mapped, so that it can be hooked before its first allocation; nobody else ever sees it stopped.
#pragma once

#include <string>
#include <vector>

#include "user/handles.h"
#include "user/ids.h"
#include "user/result.h"

namespace alloctrail {

class ChildCommand {
 public:
  /// Forks; the child waits for run() before it becomes the command.
  static Result<ChildCommand> fork(const std::vector<std::string>& command);
  ChildCommand(ChildCommand&&) = default;
  ChildCommand& operator=(ChildCommand&&) = default;
  ~ChildCommand();

  [[nodiscard]] Tgid pid() const { return pid_; }
  /// Lets the child execute the command. Error: the command could not be executed.
  [[nodiscard]] Status run();
  /// Lets it go on after a stop.
  void resume() const;

 private:
  ChildCommand(Tgid pid, UniqueFd go, UniqueFd failure, std::string name);

  Tgid pid_{};
  UniqueFd go_;       ///< closing it lets the child execute
  UniqueFd failure_;  ///< carries errno if the execution fails, closed by success
  std::string name_;
};

}  // namespace alloctrail
