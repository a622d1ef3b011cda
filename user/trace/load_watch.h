// SPDX-License-Identifier: Apache-2.0
// A thread that makes libraries walkable as soon as the loader announces them. Their constructors allocate right after
// that, when the main thread may be naming stacks or writing a report, which can take long.
#pragma once

#include <memory>
#include <thread>

#include "user/handles.h"
#include "user/kernel/load_notices.h"
#include "user/trace/unwind_planner.h"

namespace alloctrail {

class LoadWatch {
 public:
  /// Both must outlive it. Without it everything works, only later.
  static Result<std::unique_ptr<LoadWatch>> start(Tracer& tracer, UnwindPlanner& unwinding);
  ~LoadWatch();
  LoadWatch(const LoadWatch&) = delete;
  LoadWatch& operator=(const LoadWatch&) = delete;

 private:
  LoadWatch(LoadNotices notices, UnwindPlanner& unwinding) : notices_(std::move(notices)), unwinding_(unwinding) {}
  void run();

  LoadNotices notices_;
  UnwindPlanner& unwinding_;
  UniqueFd stop_;  ///< readable when the thread is to end
  std::thread thread_;
};

}  // namespace alloctrail
