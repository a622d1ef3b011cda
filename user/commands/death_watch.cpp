// SPDX-License-Identifier: Apache-2.0
#include "user/commands/death_watch.h"

#include <poll.h>

#include <iterator>
#include <utility>

#include "user/oom/own_cgroup.h"

namespace alloctrail {
namespace {

constexpr int kSettlingPollMs = 20;

Result<std::unique_ptr<OomCases>> start_recorder(Trace& trace, LookAtVictims look) {
  auto feed = trace.attach_oom_feed();
  if (!feed) return std::move(feed).error();
  RecorderOptions options;
  options.look = look;
  auto recorder = OomRecorder::start(*std::move(feed), std::nullopt, options);
  if (!recorder) return std::move(recorder).error();
  return std::make_unique<OomCases>(*std::move(recorder), &trace);
}

}  // namespace

DeathWatch DeathWatch::start(Trace& trace, std::string& warning) {
  DeathWatch watch;
  const std::vector<Tgid> targets = trace.pids();
  const OwnCgroup own = targets.empty() ? OwnCgroup() : find_own_cgroup(targets);
  if (own.is_shared()) warning = shared_cgroup_warning(own);
  if (auto cases = start_recorder(trace, own.is_shared() ? LookAtVictims::No : LookAtVictims::Yes)) {
    watch.cases_ = *std::move(cases);
  } else {
    warning = "OOM kills will not be recorded: " + cases.error().message;
  }
  return watch;
}

void DeathWatch::remember(const std::vector<Snapshot>& ended) {
  if (!cases_) return;
  for (const Snapshot& snapshot : ended) cases_->remember(snapshot);
}

std::vector<OomReport> DeathWatch::take() {
  if (!cases_) return {};
  std::vector<OomReport> reports = cases_->take();
  for (OomReport& report : reports) report.accounting.reset();
  return reports;
}

std::vector<ReclaimNotice> DeathWatch::take_reclaims() {
  return cases_ ? cases_->take_reclaims() : std::vector<ReclaimNotice>();
}

std::vector<OomReport> DeathWatch::take_all() {
  std::vector<OomReport> all = take();
  while (cases_ && !cases_->settled()) {
    pollfd event{.fd = event_fd(), .events = POLLIN, .revents = 0};
    (void)poll(&event, 1, kSettlingPollMs);
    std::vector<OomReport> more = take();
    std::move(more.begin(), more.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace alloctrail
