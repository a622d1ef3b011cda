// SPDX-License-Identifier: Apache-2.0
#include "user/commands/live_source.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "user/commands/start_trace.h"

namespace alloctrail {
namespace {

using Clock = std::chrono::steady_clock;

int milliseconds_until(Clock::time_point due) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1000L * 3600));
}

}  // namespace

Status LiveSource::open() {
  auto trace = start_trace(options_, {});
  if (!trace) return std::move(trace).error();
  trace_ = *std::move(trace);
  std::string warning;
  deaths_ = DeathWatch::start(*trace_, warning);
  if (!warning.empty()) messages_.push_back(warning);
  return ok();
}

Result<Update> LiveSource::next(Clock::time_point due, int wake_fd) {
  std::array<pollfd, 3> events{pollfd{.fd = deaths_->event_fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = trace_->event_fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = wake_fd, .events = POLLIN, .revents = 0}};
  const bool gone = trace_->all_ended();
  (void)poll(events.data(), events.size(), gone ? -1 : milliseconds_until(due));
  Update update;
  update.snapshots = trace_->handle_events();
  deaths_->remember(update.snapshots);
  update.over = trace_->all_ended();
  update.deaths = update.over && !gone ? deaths_->take_all() : deaths_->take();
  update.messages = std::exchange(messages_, {});
  std::ranges::move(trace_->take_messages(), std::back_inserter(update.messages));
  if (update.over) return gone && update.deaths.empty() ? Update{} : std::move(update);
  if (Clock::now() < due) return update;
  auto snapshots = trace_->snapshots();
  if (!snapshots) return std::move(snapshots).error();
  std::ranges::move(*snapshots, std::back_inserter(update.snapshots));
  return update;
}

}  // namespace alloctrail
