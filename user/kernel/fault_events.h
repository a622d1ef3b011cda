// SPDX-License-Identifier: Apache-2.0
// The kernel's page-fault events of one process: one for each of its threads, inherited by those they start. Nothing of
// another process is counted, and no other process pays.
#pragma once

#include <cstdint>
#include <vector>

#include "user/handles.h"
#include "user/ids.h"
#include "user/result.h"

namespace alloctrail {

class FaultEvents {
 public:
  /// `program_fd` (type perf_event) runs at every `interval`-th fault of a thread. Threads that are started meanwhile
  /// are not missed and not counted twice: nothing is enabled before a set of events fits the set of threads.
  static Result<FaultEvents> open(Tgid pid, int program_fd, uint32_t interval);

  /// Faults of all threads since the start, ended ones included, as the kernel counted them.
  [[nodiscard]] uint64_t counted() const;
  /// Threads that were started while the events were opened, in a process that starts them without a pause: they may be
  /// missing. Usually 0.
  [[nodiscard]] size_t uncertain_threads() const { return uncertain_threads_; }

 private:
  std::vector<UniqueFd> events_;
  size_t uncertain_threads_ = 0;
};

}  // namespace alloctrail
