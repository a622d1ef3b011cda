// SPDX-License-Identifier: Apache-2.0
#include "user/commands/report.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "user/commands/death_watch.h"
#include "user/commands/limit_watch.h"
#include "user/commands/replay.h"
#include "user/commands/reporter.h"
#include "user/commands/signals.h"
#include "user/commands/start_trace.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

using Clock = std::chrono::steady_clock;

/// When the next report is due and when the run ends.
class Schedule {
 public:
  explicit Schedule(const ReportOptions& options)
      : interval_(options.interval), left_(options.count), next_(Clock::now() + options.interval) {
    if (options.duration) end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(*options.duration);
  }

  [[nodiscard]] bool counted_out() const { return left_ && *left_ == 0; }
  [[nodiscard]] bool timed_out() const { return Clock::now() >= end_; }
  [[nodiscard]] bool due() const { return Clock::now() >= next_; }
  /// One report was printed. A report that came late does not make the next ones come in a burst.
  void printed() {
    if (left_ && *left_ > 0) --*left_;
  }
  void advance() {
    while (next_ <= Clock::now()) next_ += interval_;
  }
  [[nodiscard]] int wait_ms() const {
    const auto until = std::min(end_, next_);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 0, 1000L * 3600));
  }

 private:
  std::chrono::nanoseconds interval_;
  std::optional<uint64_t> left_;
  Clock::time_point next_;
  Clock::time_point end_ = Clock::time_point::max();
};

void announce(Trace& trace) {
  std::vector<uint32_t> pids;
  for (const Tgid pid : trace.pids()) pids.push_back(raw(pid));
  if (!pids.empty()) fmt::print(stderr, "alloctrail: attached to {}\n", fmt::join(pids, ","));
}

void pass_on_messages(Trace& trace) {
  for (const std::string& message : trace.take_messages()) fmt::print(stderr, "alloctrail: {}\n", message);
}

Status print_now(Trace& trace, Reporter& reporter) {
  auto snapshots = trace.snapshots();
  if (!snapshots) return std::move(snapshots).error();
  return reporter.print(*std::move(snapshots));
}

Status print_deaths(const std::vector<OomReport>& deaths, Reporter& reporter) {
  for (const OomReport& death : deaths)
    if (auto printed = reporter.print(death); !printed) return printed;
  return ok();
}

/// The last Snapshots of processes that ended, then what killed them.
Status print_ended(Trace& trace, DeathWatch& deaths, Reporter& reporter) {
  std::vector<Snapshot> ended = trace.handle_events();
  deaths.remember(ended);
  if (auto printed = reporter.print(std::move(ended)); !printed) return printed;
  return print_deaths(trace.all_ended() ? deaths.take_all() : deaths.take(), reporter);
}

/// Reports of processes that come near their limit.
Status print_warnings(Trace& trace, DeathWatch& deaths, LimitWatch& limits, Reporter& reporter) {
  for (const ReclaimNotice& notice : deaths.take_reclaims())
    if (const auto limit = limits.at_reclaim(notice.pid))
      if (auto printed = reporter.print(notice, *limit); !printed) return printed;
  for (const LimitWatch::Warning& warning : limits.look(trace.pids()))
    if (auto snapshot = trace.snapshot(warning.pid))
      if (auto printed = reporter.warn(*std::move(snapshot), warning.limit); !printed) return printed;
  return ok();
}

/// Why a run is over, or that it is not.
enum class Outcome { Running, Finished, Stopped };

/// Waits for the next thing to do and does it.
Result<Outcome> step(Trace& trace, DeathWatch& deaths, LimitWatch& limits, Reporter& reporter, Schedule& schedule,
                     const SignalRequests& signals) {
  std::array<pollfd, 3> events{pollfd{.fd = deaths.event_fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = trace.event_fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = signals.fd(), .events = POLLIN, .revents = 0}};
  (void)poll(events.data(), events.size(), sooner(schedule.wait_ms(), limits.wait_ms()));
  if (auto warned = print_warnings(trace, deaths, limits, reporter); !warned) return std::move(warned).error();
  auto ended = print_ended(trace, deaths, reporter);
  pass_on_messages(trace);
  if (!ended) return std::move(ended).error();
  if (trace.all_ended()) return Outcome::Finished;
  const Request request = signals.take();
  if (request == Request::Stop || schedule.timed_out()) return Outcome::Stopped;
  if (request == Request::ReportNow || schedule.due()) {
    if (auto printed = print_now(trace, reporter); !printed) return std::move(printed).error();
    if (schedule.due()) schedule.printed();
    schedule.advance();
  }
  return schedule.counted_out() ? Outcome::Finished : Outcome::Running;
}

}  // namespace

Result<ExitCode> run_report(const ReportOptions& options) {
  if (options.recording) return replay(options);
  auto signals = SignalRequests::open();
  if (!signals) return std::move(signals).error();
  auto reporter = Reporter::open(options);
  if (!reporter) return std::move(reporter).error();
  // Its tracepoints would be hit by every system call of the machine.
  const bool no_ranges = options.no_mappings || options.tracing.growth;
  auto trace = start_trace(options.tracing, {.ranges = no_ranges ? RangeTracking::Off : RangeTracking::On});
  if (!trace) return std::move(trace).error();
  std::string warning;
  DeathWatch deaths = DeathWatch::start(**trace, warning);
  if (!warning.empty()) fmt::print(stderr, "alloctrail: {}\n", warning);
  announce(**trace);
  if (options.format == OutputFormat::Recording && options.output)
    fmt::print(stderr, "alloctrail: recording every {} to '{}'\n", format_duration(options.interval), *options.output);

  LimitWatch limits(options.tracing.warn_at_percent);
  Schedule schedule(options);
  Outcome outcome = (*trace)->all_ended() ? Outcome::Stopped : Outcome::Running;  // a command may be that short
  while (outcome == Outcome::Running) {
    auto stepped = step(**trace, deaths, limits, *reporter, schedule, *signals);
    if (!stepped) return std::move(stepped).error();
    outcome = *stepped;
  }
  // The last of a counted number of reports has been printed; whoever stops a run wants to see its end.
  std::vector<Snapshot> last = (*trace)->finish();
  if (outcome == Outcome::Stopped)
    if (auto printed = reporter->print(std::move(last)); !printed) return std::move(printed).error();
  if (auto finished = reporter->finish(); !finished) return std::move(finished).error();
  return kExitOk;
}

}  // namespace alloctrail
