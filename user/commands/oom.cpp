// SPDX-License-Identifier: Apache-2.0
#include "user/commands/oom.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "user/commands/limit_watch.h"
#include "user/commands/oom_reporter.h"
#include "user/commands/service_notice.h"
#include "user/commands/signals.h"
#include "user/commands/start_trace.h"
#include "user/oom/oom_cases.h"
#include "user/oom/own_cgroup.h"
#include "user/oom/report_builder.h"
#include "user/oom/self_protection.h"

namespace alloctrail {
namespace {

constexpr int kMostLeftLogs = 1000;
constexpr uint64_t kRawLogBytes = 8u << 20;
constexpr int kWaitingPollMs = 50;
constexpr auto kKeepEvery = std::chrono::minutes(1);
constexpr auto kFinishGrace = std::chrono::seconds(6);  // a little more than a kill may take to be complete

bool traces_targets(const OomOptions& options) {
  return options.tracing.targets.names_running_processes() || !options.tracing.targets.command.empty();
}

Result<std::optional<RawLog>> open_raw_log(const OomOptions& options) {
  if (!options.directory) return std::optional<RawLog>();
  for (const std::string& left : left_raw_logs(*options.directory))
    fmt::print(stderr, "alloctrail: an earlier run left records of kills: report them with: alloctrail oom --from {}\n", left);
  // The name may be taken by a killed run that had the same process id, as it often is in containers.
  for (int attempt = 0;; ++attempt) {
    auto log = RawLog::create(fmt::format("{}/.oom-{}-{}.raw", *options.directory, getpid(), attempt), kRawLogBytes);
    if (log) return std::optional<RawLog>(*std::move(log));
    if (log.error().os_error != EEXIST || attempt == kMostLeftLogs) return std::move(log).error();
  }
}

/// What one run consists of.
struct Run {
  std::unique_ptr<Trace> trace;  ///< null with --all alone
  std::unique_ptr<OomCases> cases;
  LimitWatch limits{std::nullopt};
  std::chrono::steady_clock::time_point next_kept;  ///< Snapshot, for what changes
};

/// Out of the victim's memory cgroup, or it is said. A command that we start is in ours, wherever that is.
Result<OwnCgroup> settle_in_cgroup(const OomOptions& options) {
  const bool starts_command = !options.tracing.targets.command.empty();
  std::vector<Tgid> watched;
  if (starts_command) watched.push_back(Tgid(static_cast<uint32_t>(getpid())));
  if (options.tracing.targets.names_running_processes() && !options.all) {
    auto selected = select_targets(options.tracing.targets);
    if (!selected) return std::move(selected).error();
    watched = *std::move(selected);
  }
  OwnCgroup own = starts_command ? find_own_cgroup(watched) : leave_shared_cgroup(watched);
  if (own.left)
    fmt::print(stderr, "alloctrail: moved itself out of the memory cgroup {}, whose limit it shared\n", own.shared);
  if (own.is_shared()) fmt::print(stderr, "alloctrail: {}\n", shared_cgroup_warning(own));
  return own;
}

Result<Run> start(const OomOptions& options) {
  Run run;
  auto own = settle_in_cgroup(options);
  if (!own) return std::move(own).error();
  auto log = open_raw_log(options);
  if (!log) return std::move(log).error();
  Result<std::unique_ptr<OomFeed>> feed = std::unique_ptr<OomFeed>();
  if (traces_targets(options)) {
    auto trace = start_trace(options.tracing, {.oom = options.all ? OomWatch::EveryProcess : OomWatch::Targets});
    if (!trace) return std::move(trace).error();
    run.trace = *std::move(trace);
    feed = run.trace->attach_oom_feed();
  } else {
    feed = OomFeed::load();
  }
  if (!feed) return std::move(feed).error();
  RecorderOptions recording = options.recording;
  if (own->is_shared()) recording = {.hold = OomHold::Off, .hold_budget = {}, .look = LookAtVictims::No};
  auto recorder = OomRecorder::start(*std::move(feed), *std::move(log), recording);
  if (!recorder) return std::move(recorder).error();
  run.cases = std::make_unique<OomCases>(*std::move(recorder), run.trace.get());
  run.limits = LimitWatch(options.tracing.warn_at_percent);
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

/// What has become of the reports of a run.
struct Tally {
  size_t made = 0;
  size_t not_written = 0;
};

/// Writes what is ready. A report that cannot be written, such as to a full disk, does not end the watch: the next one may
/// be. Its raw records stay.
Status write_reports(Run& run, OomReporter& reporter, const OomOptions& options, Tally& tally) {
  const std::vector<OomReport> reports = run.cases->take();
  tally.made += reports.size();
  for (const OomReport& report : reports) {
    auto written = reporter.write(report);
    if (written) continue;
    if (!options.directory) return written;
    tally.not_written++;
    fmt::print(stderr, "alloctrail: {}\n", written.error().message);
  }
  if (!reports.empty() && tally.not_written == 0) run.cases->reports_are_safe();
  return ok();
}

void follow_trace(Run& run) {
  if (!run.trace) return;
  for (const Snapshot& ended : run.trace->handle_events()) run.cases->remember(ended);
  for (const std::string& message : run.trace->take_messages()) fmt::print(stderr, "alloctrail: {}\n", message);
}

/// Reports of processes that come near their limit. They do not count as reports of kills.
Status write_warnings(Run& run, OomReporter& reporter) {
  if (!run.trace) return ok();
  for (const ReclaimNotice& notice : run.cases->take_reclaims())
    if (const auto limit = run.limits.at_reclaim(notice.pid))
      if (auto written = reporter.write(notice, *limit); !written) return written;
  for (const LimitWatch::Warning& warning : run.limits.look(run.trace->pids()))
    if (const auto snapshot = run.trace->snapshot(warning.pid))
      if (auto written = reporter.warn(*snapshot, run.cases->earlier(warning.pid), warning.limit); !written) return written;
  return ok();
}

void keep_snapshots(Run& run) {
  const auto now = std::chrono::steady_clock::now();
  if (!run.trace || now < run.next_kept) return;
  run.next_kept = now + kKeepEvery;
  if (auto snapshots = run.trace->snapshots())
    for (Snapshot& snapshot : *snapshots) run.cases->keep(std::move(snapshot));
}

/// How long nothing is to be done without an event.
int wait_ms(const Run& run, const OomOptions& options) {
  const bool ending = run.trace && run.trace->all_ended() && !options.all;
  if (ending || run.cases->waiting()) return kWaitingPollMs;
  if (!run.trace || run.trace->all_ended()) return -1;
  const auto keeping = std::chrono::ceil<std::chrono::milliseconds>(run.next_kept - std::chrono::steady_clock::now());
  return sooner(run.limits.wait_ms(), static_cast<int>(std::max<int64_t>(0, keeping.count())));
}

/// Kills that came while reports were being written are reported before the end.
Result<Tally> finish_what_has_begun(Run& run, OomReporter& reporter, const OomOptions& options, Tally tally) {
  const auto end = std::chrono::steady_clock::now() + kFinishGrace;
  while (!run.cases->settled() && std::chrono::steady_clock::now() < end) {
    pollfd event{.fd = run.cases->event_fd(), .events = POLLIN, .revents = 0};
    (void)poll(&event, 1, kWaitingPollMs);
    follow_trace(run);
    if (auto written = write_reports(run, reporter, options, tally); !written) return std::move(written).error();
  }
  return tally;
}

Result<Tally> wait_for_kills(Run& run, OomReporter& reporter, const OomOptions& options,
                             const SignalRequests& signals) {
  Tally tally;
  std::array<pollfd, 3> events{pollfd{.fd = run.cases->event_fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = signals.fd(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = run.trace ? run.trace->event_fd() : -1, .events = POLLIN, .revents = 0}};
  while (true) {
    keep_snapshots(run);
    (void)poll(events.data(), events.size(), wait_ms(run, options));
    if (auto warned = write_warnings(run, reporter); !warned) {
      if (!options.directory) return std::move(warned).error();
      fmt::print(stderr, "alloctrail: {}\n", warned.error().message);
    }
    follow_trace(run);
    if (auto written = write_reports(run, reporter, options, tally); !written) return std::move(written).error();
    if (options.once && tally.made > 0) return tally;
    if (signals.take() == Request::Stop) return finish_what_has_begun(run, reporter, options, tally);
    // A process that the trace has seen end may still be on its way here from the recorder.
    if (run.trace && run.trace->all_ended() && !options.all && run.cases->settled()) return tally;
  }
}

/// Of processes that are long gone: what was recorded is all there is.
Result<ExitCode> report_raw_log(const std::string& path, OomReporter& reporter) {
  const auto log = read_raw_log(path);
  if (!log) return log.error();
  KillRecords records;
  for (const OomFeed::Record& record : *log) records.add(record);
  const std::vector<OomCapture> captures = records.take_finished(std::chrono::nanoseconds::max());
  if (captures.empty())
    return Error{.message = fmt::format("'{}' holds no record of an OOM kill", path),
                 .hint = "name a file DIR/.oom-PID-N.raw that an earlier run left behind"};
  Symbolizer symbolizer;
  for (const OomCapture& capture : captures)
    if (auto written = reporter.write(build_oom_report(capture, {.pid = capture.pid(), .mappings = {}}, symbolizer)); !written)
      return std::move(written).error();
  if (auto finished = reporter.finish(); !finished) return std::move(finished).error();
  return kExitOk;
}

}  // namespace

Result<ExitCode> run_oom(const OomOptions& options) {
  auto signals = SignalRequests::open();
  if (!signals) return std::move(signals).error();
  auto reporter = OomReporter::open(options);
  if (!reporter) return std::move(reporter).error();
  if (options.from) return report_raw_log(*options.from, *reporter);
  auto run = start(options);
  if (!run) return std::move(run).error();
  protect_ourselves();
  announce(*run, options);
  notify_service("READY=1");
  const auto tally = wait_for_kills(*run, *reporter, options, *signals);
  if (!tally) return tally.error();
  notify_service("STOPPING=1");
  if (auto finished = reporter->finish(); !finished) return std::move(finished).error();
  const uint64_t missed = run->cases->missed();
  if (tally->not_written > 0) return kExitFailed;
  if (missed == 0) return kExitOk;
  fmt::print(stderr, "alloctrail: of {} kills nothing could be recorded\n", missed);
  return kExitDataLost;
}

}  // namespace alloctrail
