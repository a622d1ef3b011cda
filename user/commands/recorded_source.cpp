// SPDX-License-Identifier: Apache-2.0
#include "user/commands/recorded_source.h"

#include <poll.h>

namespace alloctrail {

Result<Update> RecordedSource::next(std::chrono::steady_clock::time_point, int wake_fd) {
  Update update;
  if (over_) {
    pollfd wake{.fd = wake_fd, .events = POLLIN, .revents = 0};
    (void)poll(&wake, 1, -1);
    return update;
  }
  if (auto moment = recording_.next()) {
    update.snapshots = std::move(moment->snapshots);
    update.deaths = std::move(moment->deaths);
    return update;
  }
  over_ = update.over = true;
  if (!recording_.problem().empty()) update.messages.push_back(recording_.problem());
  return update;
}

}  // namespace alloctrail
