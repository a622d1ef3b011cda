// SPDX-License-Identifier: Apache-2.0
// Attaches and detaches where no SIGKILL can interrupt it. The kernel gives up removing a breakpoint when the process that
// removes it has been killed ("uprobe: failed to unregister, leaking uprobe", Linux 6.18), and the target keeps it. So
// this work is done by a second process, which shares our memory and descriptors and outlives us by as long as it takes.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>

#include "user/handles.h"
#include "user/result.h"

namespace alloctrail {

class Custodian {
 public:
  static Result<std::unique_ptr<Custodian>> start();
  ~Custodian();
  Custodian(const Custodian&) = delete;
  Custodian& operator=(const Custodian&) = delete;

  /// Runs `job` in the custodian and waits for its end. The caller may be killed meanwhile; the job is not.
  void run(const std::function<void()>& job);

 private:
  Custodian() = default;
  static int serve(void* self);

  UniqueFd request_;
  UniqueFd done_;
  UniqueFd parent_;  ///< pidfd of ourselves: how the custodian learns that we are gone
  const std::function<void()>* job_ = nullptr;
  std::unique_ptr<char[]> stack_;
  pid_t pid_ = 0;
};

}  // namespace alloctrail
