// SPDX-License-Identifier: Apache-2.0
// The signals a live command answers to, as a descriptor to wait on.
#pragma once

#include "user/handles.h"
#include "user/result.h"

namespace alloctrail {

enum class Request {
  None,
  Stop,       ///< SIGINT, SIGTERM: print the final report and end
  ReportNow,  ///< SIGUSR1: print a report at once
};

class SignalRequests {
 public:
  /// From here on these signals reach only the descriptor; SIGPIPE becomes an error of write().
  static Result<SignalRequests> open();
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// The next request, without waiting.
  [[nodiscard]] Request take() const;

 private:
  explicit SignalRequests(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace alloctrail
