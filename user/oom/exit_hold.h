// SPDX-License-Identifier: Apache-2.0
// Holds a dying process for a moment, so that what /proc shows of it can be read: its threads stop on their way out, just
// before their memory goes. The only place that stops anything of anybody, and never for longer than its budget.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "user/ids.h"

namespace alloctrail {

/// All of it happens on one thread, as the kernel demands of a tracer. If that thread dies, the kernel lets everything go.
class ExitHold {
 public:
  /// Asks every thread of the process that is still there to stop when it exits, and waits until one has.
  ExitHold(Tgid pid, std::chrono::milliseconds budget);

  /// Is a thread held, and with it the address space?
  [[nodiscard]] bool holds() const { return held_; }
  /// Why not.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }
  /// Lets the threads go that have stopped by now; to be called again, soon, until none is left: then it returns true.
  [[nodiscard]] bool release();

 private:
  struct Thread {
    pid_t tid = 0;
    bool stopped = false;
  };
  void seize(Tgid pid);
  void look();

  std::vector<Thread> threads_;
  bool held_ = false;
  std::string refusal_;
};

}  // namespace alloctrail
