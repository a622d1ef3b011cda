// SPDX-License-Identifier: Apache-2.0
#include "user/commands/oom.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "user/commands/oom_reporter.h"
#include "user/commands/service_notice.h"
#include "user/commands/signals.h"
#include "user/commands/start_trace.h"
#include "user/oom/oom_cases.h"
#include "user/oom/self_protection.h"

namespace alloctrail {
namespace {

constexpr uint64_t kRawLogBytes = 8u << 20;
constexpr int kWaitingPollMs = 50;

bool traces_targets(const OomOptions& options) {
  return options.tracing.targets.names_running_processes() || !options.tracing.targets.command.empty();
}

Result<std::optional<RawLog>> open_raw_log(const OomOptions& options) {
  if (!options.directory) return std::optional<RawLog>();
  auto log = RawLog::create(fmt::format("{}/.oom-{}.raw", *options.directory, getpid()), kRawLogBytes);
  if (!log) return std::move(log).error();
  return std::optional<RawLog>(*std::move(log));
}

/// What one run consists of.
struct Run {
  std::unique_ptr<Trace> trace;  ///< null with --all alone
  std::unique_ptr<OomCases> cases;
};

Result<Run> start(const OomOptions& options) {
  Run run;
  auto log = open_raw_log(options);
  if (!log) return std::move(log).error();
  Result<std::unique_ptr<OomFeed>> feed = std::unique_ptr<OomFeed>();
  if (traces_targets(options)) {
    auto trace = start_trace(options.tracing, options.all ? OomWatch::EveryProcess : OomWatch::Targets);
    if (!trace) return std::move(trace).error();
    run.trace = *std::move(trace);
    feed = run.trace->attach_oom_feed();
  } else {
    feed = OomFeed::load();
  }
  if (!feed) return std::move(feed).error();
  auto recorder = OomRecorder::start(*std::move(feed), *std::move(log));
  if (!recorder) return std::move(recorder).error();
  run.cases = std::make_unique<OomCases>(*std::move(recorder), run.trace.get());
  return run;
}

void announce(const Run& run, const OomOptions& options) {
  std::vector<uint32_t> pids;
  if (run.trace)
    for (const Tgid pid : run.trace->pids()) pids.push_back(raw(pid));
  const std::string traced = pids.empty() ? "" : fmt::format("{}", fmt::join(pids, ","));
  const char* everyone = options.all ? "every process" : "";
  fmt::print(stderr, "alloctrail: watching {}{}{} for OOM kills\n", everyone, options.all && !pids.empty() ? " and tracing " : "",
             traced);
}

/// Writes what is ready; the result says how many.
Result<size_t> write_reports(Run& run, OomReporter& reporter) {
  const std::vector<OomReport> reports = run.cases->take();
  for (const OomReport& report : reports)
    if (auto written = reporter.write(report); !written) return std::move(written).error();
  if (!reports.empty()) run.cases->reports_are_safe();
  return reports.size();
}

void follow_trace(Run& run) {
  if (!run.trace) return;
  for (const Snapshot& ended : run.trace->handle_events()) run.cases->remember(ended);
  for (const std::string& message : run.trace->take_messages()) fmt::print(stderr, "alloctrail: {}\n", message);
}

Status wait_for_kills(Run& run, OomReporter& reporter, const OomOptions& options, const SignalRequests& signals) {
  std::array<pollfd, 3> events{pollfd{.fd = run.cases->event_fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = signals.fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = run.trace ? run.trace->event_fd() : -1, .events = POLLIN, .revents = 0}};
  while (true) {
    const bool ending = run.trace && run.trace->all_ended() && !options.all;
    (void)poll(events.data(), events.size(), ending || run.cases->waiting() ? kWaitingPollMs : -1);
    follow_trace(run);
    auto written = write_reports(run, reporter);
    if (!written) return std::move(written).error();
    if (options.once && *written > 0) return ok();
    if (signals.take() == Request::Stop) return ok();
    // A process that the trace has seen end may still be on its way here from the recorder.
    if (run.trace && run.trace->all_ended() && !options.all && run.cases->settled()) return ok();
  }
}

}  // namespace

Result<ExitCode> run_oom(const OomOptions& options) {
  auto signals = SignalRequests::open();
  if (!signals) return std::move(signals).error();
  auto reporter = OomReporter::open(options);
  if (!reporter) return std::move(reporter).error();
  auto run = start(options);
  if (!run) return std::move(run).error();
  protect_ourselves();
  announce(*run, options);
  notify_service("READY=1");
  if (auto waited = wait_for_kills(*run, *reporter, options, *signals); !waited) return std::move(waited).error();
  notify_service("STOPPING=1");
  if (auto finished = reporter->finish(); !finished) return std::move(finished).error();
  const uint64_t missed = run->cases->missed();
  if (missed == 0) return kExitOk;
  fmt::print(stderr, "alloctrail: of {} kills nothing could be recorded\n", missed);
  return kExitDataLost;
}

}  // namespace alloctrail
