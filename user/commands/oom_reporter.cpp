// SPDX-License-Identifier: Apache-2.0
#include "user/commands/oom_reporter.h"

#include <fmt/core.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

#include "user/output/oom_json.h"
#include "user/output/oom_text.h"

namespace alloctrail {

OomReporter::OomReporter(const OomOptions& options)
    : format_(options.format),
      frames_(options.full_stacks ? FrameChoice::All : FrameChoice::Callers),
      style_(text_style(options.directory ? -1 : STDOUT_FILENO, options.color)),
      exec_(options.exec) {}

Result<OomReporter> OomReporter::open(const OomOptions& options) {
  OomReporter reporter(options);
  if (options.directory) {
    const char* suffix = options.format == OutputFormat::Text ? "txt" : "json";
    auto directory = ReportDirectory::open(*options.directory, "oom", suffix, options.keep);
    if (!directory) return std::move(directory).error();
    reporter.directory_ = *std::move(directory);
  } else {
    auto sink = open_sink(std::nullopt, Delivery::Stream);
    if (!sink) return std::move(sink).error();
    reporter.sink_ = *std::move(sink);
  }
  return reporter;
}

std::string OomReporter::render(const OomReport& report) {
  if (format_ == OutputFormat::Text) return oom_text(report, frames_, style_);
  return oom_json(report) + "\n";
}

Status OomReporter::write(const OomReport& report) {
  if (directory_) return write_file(report);
  if (format_ == OutputFormat::Json) return sink_->write(document_.add(oom_json(report)));
  const bool separate = !std::exchange(first_, false) && format_ == OutputFormat::Text;
  return sink_->write((separate ? "\n" : "") + render(report));
}

Status OomReporter::write_file(const OomReport& report) {
  auto path = directory_->write(report.time, fmt::format("{}-{}", raw(report.pid), report.comm), render(report));
  if (!path) return std::move(path).error();
  fmt::print(stderr, "alloctrail: {}\n", *path);
  return exec_ ? start_program(*path) : ok();
}

/// Without a shell: the path is one argument, whatever is in it.
Status OomReporter::start_program(const std::string& path) {
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
  const int error = posix_spawnp(&pid, exec_->c_str(), nullptr, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (error != 0)
    return Error{.message = fmt::format("cannot run '{}' for {}: {}", *exec_, path, std::strerror(error)),
                 .hint = "--exec names a program, without arguments",
                 .os_error = error};
  programs_.push_back(pid);
  std::erase_if(programs_, [](pid_t each) { return waitpid(each, nullptr, WNOHANG) == each; });
  return ok();
}

Status OomReporter::finish() {
  for (const pid_t pid : programs_) (void)waitpid(pid, nullptr, 0);
  programs_.clear();
  if (!sink_) return ok();
  if (format_ == OutputFormat::Json)
    if (auto written = sink_->write(document_.finish()); !written) return written;
  return sink_->finish();
}

}  // namespace alloctrail
