// SPDX-License-Identifier: Apache-2.0
#include "user/commands/reporter.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "user/output/oom_json.h"
#include "user/output/oom_text.h"
#include "user/output/reclaim_text.h"
#include "user/output/terminal.h"

namespace alloctrail {
namespace {

bool goes_to_stdout(const ReportOptions& options) { return !options.output || *options.output == "-"; }

}  // namespace

Reporter::Reporter(const ReportOptions& options, std::unique_ptr<Sink> sink)
    : format_(options.format), sink_(std::move(sink)) {
  query_.top = options.rows();
  query_.only_tid = options.tid;
  query_.frames = options.full_stacks || format_ != OutputFormat::Text ? FrameChoice::All : FrameChoice::Callers;
  query_.stacks = options.stacks;
  style_.text = text_style(goes_to_stdout(options) ? STDOUT_FILENO : -1, options.color);
  style_.bytes = options.exact_bytes ? ByteFigures::Exact : ByteFigures::Scaled;
}

Result<Reporter> Reporter::open(const ReportOptions& options) {
  const bool records = options.format == OutputFormat::Recording;
  if (records && goes_to_stdout(options) && isatty(STDOUT_FILENO))
    return Error{ErrorKind::Usage, "a recording is not written to a terminal", "name a file with -o FILE"};
  const bool streams = records || options.format == OutputFormat::JsonLines;
  auto sink = open_sink(options.output, streams ? Delivery::Stream : Delivery::Whole);
  if (!sink) return std::move(sink).error();
  if (records)
    if (auto written = (*sink)->write(RecordingWriter::header()); !written) return std::move(written).error();
  return Reporter(options, *std::move(sink));
}

std::string Reporter::separated(const std::string& text) {
  switch (format_) {
    case OutputFormat::Json: return document_.add(text);
    case OutputFormat::JsonLines: return text + "\n";
    case OutputFormat::Text:
    case OutputFormat::Recording: break;
  }
  return (std::exchange(first_, false) ? "" : "\n") + text;
}

std::string Reporter::render(const Snapshot& snapshot, const std::optional<LimitView>& warning) {
  const auto previous = previous_.find(snapshot.process.pid);
  ReportView view = report_view(snapshot, previous == previous_.end() ? nullptr : &previous->second, query_);
  LimitHistory& limits = limits_[snapshot.process.pid];
  if (!warning) limits.add(snapshot);
  view.limit = warning ? warning : limits.view(snapshot);
  return separated(format_ == OutputFormat::Text ? report_text(snapshot, view, style_) : report_json(snapshot, view));
}

Status Reporter::print(std::vector<Snapshot> snapshots) {
  if (format_ == OutputFormat::Recording)
    return snapshots.empty() ? ok() : sink_->write(recording_.add({std::move(snapshots), {}}));
  for (Snapshot& snapshot : snapshots) {
    if (auto written = sink_->write(render(snapshot)); !written) return written;
    remember(std::move(snapshot));
  }
  return ok();
}

void Reporter::pass(std::vector<Snapshot> snapshots) {
  for (Snapshot& snapshot : snapshots) {
    limits_[snapshot.process.pid].add(snapshot);
    remember(std::move(snapshot));
  }
}

Status Reporter::warn(Snapshot snapshot, const LimitView& limit) {
  if (format_ == OutputFormat::Recording) return sink_->write(recording_.add({{std::move(snapshot)}, {}}));
  if (auto written = sink_->write(render(snapshot, limit)); !written) return written;
  previous_.insert_or_assign(snapshot.process.pid, std::move(snapshot));
  return ok();
}

Status Reporter::print(const ReclaimNotice& notice, const LimitView& limit) {
  if (format_ == OutputFormat::Recording) return ok();
  return sink_->write(separated(format_ == OutputFormat::Text
                                    ? reclaim_text(notice, limit, query_.frames, style_.text)
                                    : reclaim_json(notice, limit)));
}

Status Reporter::print(const OomReport& death) {
  if (format_ == OutputFormat::Recording) return sink_->write(recording_.add({{}, {death}}));
  return sink_->write(
      separated(format_ == OutputFormat::Text ? oom_text(death, query_.frames, style_.text) : oom_json(death)));
}

void Reporter::remember(Snapshot snapshot) {
  const Tgid pid = snapshot.process.pid;
  if (snapshot.end == EndReason::None) {
    previous_.insert_or_assign(pid, std::move(snapshot));
  } else {
    previous_.erase(pid);
    limits_.erase(pid);
  }
}

Status Reporter::finish() {
  if (format_ == OutputFormat::Json)
    if (auto written = sink_->write(document_.finish()); !written) return written;
  return sink_->finish();
}

}  // namespace alloctrail
