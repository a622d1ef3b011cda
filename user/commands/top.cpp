// SPDX-License-Identifier: Apache-2.0
#include "user/commands/top.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "user/commands/live_source.h"
#include "user/commands/recorded_source.h"
#include "user/commands/snapshot_file.h"
#include "user/handles.h"
#include "user/output/output_file.h"
#include "user/tui/live_view.h"

namespace alloctrail {
namespace {

/// From here on these signals reach only the descriptor.
Result<UniqueFd> open_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) sigaddset(&mask, number);
  sigprocmask(SIG_BLOCK, &mask, nullptr);
  signal(SIGPIPE, SIG_IGN);
  UniqueFd fd(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return Error{.message = fmt::format("waiting for signals: {}", std::strerror(errno)), .hint = "", .os_error = errno};
  return fd;
}

Page page_of(TopView view) {
  switch (view) {
    case TopView::Processes: return Page::Processes;
    case TopView::Threads: break;
    case TopView::Stacks: return Page::Stacks;
    case TopView::Process: return Page::Process;
    case TopView::Probes: return Page::Probes;
  }
  return Page::Threads;
}

/// What is watched: a recording, or processes that run.
Result<std::unique_ptr<SnapshotSource>> open_source(const TopOptions& options) {
  if (!options.recording) return std::unique_ptr<SnapshotSource>(std::make_unique<LiveSource>(options.tracing));
  auto recording = RecordingReader::open(*options.recording);
  if (!recording) return std::move(recording).error();
  return std::unique_ptr<SnapshotSource>(std::make_unique<RecordedSource>(*std::move(recording)));
}

Status print_frames(SnapshotSource& source, const LiveViewOptions& view, const TopOptions& options, int signal_fd) {
  auto sink = open_sink(std::nullopt, Delivery::Stream);
  if (!sink) return std::move(sink).error();
  const BatchOptions batch{.rows = options.top, .count = options.svg ? 1 : options.count, .svg = options.svg};
  if (auto shown = run_batch_view(source, view, batch, **sink, signal_fd); !shown) return shown;
  return (*sink)->finish();
}

}  // namespace

Result<ExitCode> run_top(const TopOptions& options) {
  auto signals = open_signals();
  if (!signals) return std::move(signals).error();
  const LiveViewOptions view{
      .interval = options.interval, .page = page_of(options.view), .style = text_style(STDOUT_FILENO, options.color)};
  auto source = open_source(options);
  if (!source) return std::move(source).error();
  const bool batch = options.batch || options.svg || isatty(STDOUT_FILENO) != 1;
  Status shown = batch ? print_frames(**source, view, options, signals->get())
                       : run_live_view(*std::move(source), view, write_snapshot_file, signals->get());
  if (!shown) return std::move(shown).error();
  return kExitOk;
}

}  // namespace alloctrail
