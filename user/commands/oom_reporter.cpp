// SPDX-License-Identifier: Apache-2.0
#include "user/commands/oom_reporter.h"

#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "user/oom/self_protection.h"
#include "user/output/oom_json.h"
#include "user/output/oom_text.h"
#include "user/output/reclaim_text.h"
#include "user/output/report_text.h"

namespace alloctrail {
namespace {

constexpr auto kProgramGrace = std::chrono::seconds(5);
constexpr int kProgramPollMs = 20;

/// A path that cannot be run is told before a kill needs it; a bare name is looked up when it is.
Status check_program(const std::optional<std::string>& program) {
  if (!program || program->find('/') == std::string::npos || access(program->c_str(), X_OK) == 0) return ok();
  return Error{.kind = ErrorKind::Usage,
               .message = fmt::format("--exec '{}': {}", *program, std::strerror(errno)),
               .hint = "name a program that can be run; it is given the report's path as its only argument",
               .os_error = errno};
}

}  // namespace

OomReporter::OomReporter(const OomOptions& options)
    : format_(options.format),
      frames_(options.full_stacks ? FrameChoice::All : FrameChoice::Callers),
      style_(text_style(options.directory ? -1 : STDOUT_FILENO, options.color)),
      exec_(options.exec) {}

Result<OomReporter> OomReporter::open(const OomOptions& options) {
  OomReporter reporter(options);
  if (auto checked = check_program(options.exec); !checked) return std::move(checked).error();
  if (options.directory) {
    const char* suffix = options.format == OutputFormat::Text ? "txt" : "json";
    for (auto [target, prefix] : {std::pair(&reporter.directory_, "oom"), std::pair(&reporter.warnings_, "warning")}) {
      auto directory = ReportDirectory::open(*options.directory, prefix, suffix, options.keep);
      if (!directory) return std::move(directory).error();
      *target = *std::move(directory);
    }
  } else {
    auto sink = open_sink(std::nullopt, Delivery::Stream);
    if (!sink) return std::move(sink).error();
    reporter.sink_ = *std::move(sink);
  }
  return reporter;
}

Status OomReporter::write(const OomReport& report) {
  return deliver(directory_, {.time = report.time,
                              .name = fmt::format("{}-{}", raw(report.pid), report.comm),
                              .text = text() ? oom_text(report, frames_, style_) : oom_json(report)});
}

Status OomReporter::warn(const Snapshot& snapshot, const Snapshot* earlier, const LimitView& limit) {
  ReportView view = report_view(snapshot, earlier, {.top = text() ? std::optional<size_t>(ReportOptions::kTextRows) : std::nullopt,
                                                    .only_tid = {},
                                                    .frames = text() ? frames_ : FrameChoice::All});
  view.limit = limit;
  return deliver(warnings_, {.time = snapshot.time,
                             .name = fmt::format("{}-{}", raw(snapshot.process.pid), snapshot.process.comm),
                             .text = text() ? report_text(snapshot, view, {.text = style_, .bytes = ByteFigures::Scaled})
                                            : report_json(snapshot, view)});
}

Status OomReporter::write(const ReclaimNotice& notice, const LimitView& limit) {
  return deliver(warnings_, {.time = notice.time,
                             .name = fmt::format("{}-{}", raw(notice.pid), notice.thread),
                             .text = text() ? reclaim_text(notice, limit, frames_, style_) : reclaim_json(notice, limit)});
}

Status OomReporter::deliver(const std::optional<ReportDirectory>& directory, const Rendered& report) {
  if (directory) {
    auto path = directory->write(report.time, report.name, text() ? report.text : report.text + "\n");
    if (!path) return std::move(path).error();
    fmt::print(stderr, "alloctrail: {}\n", *path);
    look_after_programs();
    if (exec_) start_program(*path);
    return ok();
  }
  if (format_ == OutputFormat::Json) return sink_->write(document_.add(report.text));
  if (format_ == OutputFormat::JsonLines) return sink_->write(report.text + "\n");
  return sink_->write((std::exchange(first_, false) ? "" : "\n") + report.text);
}

/// Without a shell: the path is one argument, whatever is in it. One that cannot be started costs the report nothing.
void OomReporter::start_program(const std::string& path) {
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t ours;
  sigemptyset(&ours);
  for (const int number : {SIGPIPE, SIGXFSZ}) sigaddset(&ours, number);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &ours);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::array<char*, 3> arguments = {exec_->data(), const_cast<char*>(path.c_str()), nullptr};
  pid_t pid = 0;
  const UnprotectedStart unprotected;
  const int error = posix_spawnp(&pid, exec_->c_str(), nullptr, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (error == 0)
    programs_.push_back({.pid = pid, .report = path});
  else
    fmt::print(stderr, "alloctrail: cannot run '{}' for {}: {}\n", *exec_, path, std::strerror(error));
}

void OomReporter::look_after_programs() {
  std::erase_if(programs_, [&](const Program& program) {
    int status = 0;
    if (waitpid(program.pid, &status, WNOHANG) != program.pid) return false;
    if (WIFSIGNALED(status))
      fmt::print(stderr, "alloctrail: '{}' for {} was ended by signal {}\n", *exec_, program.report, WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
      fmt::print(stderr, "alloctrail: '{}' for {} failed with exit code {}\n", *exec_, program.report, WEXITSTATUS(status));
    return true;
  });
}

Status OomReporter::finish() {
  const auto end = std::chrono::steady_clock::now() + kProgramGrace;
  for (look_after_programs(); !programs_.empty() && std::chrono::steady_clock::now() < end; look_after_programs())
    (void)poll(nullptr, 0, kProgramPollMs);
  for (const Program& program : programs_)
    fmt::print(stderr, "alloctrail: '{}' for {} still runs, as process {}\n", *exec_, program.report, program.pid);
  if (!sink_) return ok();
  if (format_ == OutputFormat::Json)
    if (auto written = sink_->write(document_.finish()); !written) return written;
  return sink_->finish();
}

}  // namespace alloctrail
