// SPDX-License-Identifier: Apache-2.0
#include "user/oom/oom_cases.h"

#include <algorithm>
#include <utility>

#include "user/oom/report_builder.h"

namespace alloctrail {
namespace {

constexpr size_t kRememberedSnapshots = 16;
constexpr size_t kKeptSnapshots = 5;  // of each process
constexpr auto kSnapshotGrace = std::chrono::seconds(2);

/// Those of /proc were read some time before.
void use_figures_of_the_kill(ProcessFigures& process, const OomReport& report) {
  process.memory.vm_rss_bytes = report.rss_bytes;
  process.memory.threads = report.thread_count;
  for (const OomFigure& figure : report.figures) {
    if (figure.name == "VmData") process.memory.vm_data_bytes = figure.bytes;
    if (figure.name == "VmSize") process.memory.vm_size_bytes = figure.bytes;
  }
}

}  // namespace

OomCases::OomCases(std::unique_ptr<OomRecorder> recorder, Trace* trace) : recorder_(std::move(recorder)), trace_(trace) {
  if (trace == nullptr) own_symbolizer_.emplace(NamesCache());
}

void OomCases::remember(const Snapshot& ended) {
  if (ended.end != EndReason::Exited) return;
  ended_.push_back(ended);
  if (ended_.size() > kRememberedSnapshots) ended_.pop_front();
}

void OomCases::keep(Snapshot snapshot) {
  std::deque<Snapshot>& kept = kept_[snapshot.process.pid];
  kept.push_back(std::move(snapshot));
  if (kept.size() > kKeptSnapshots) kept.pop_front();
}

const Snapshot* OomCases::earlier(Tgid pid) const {
  const auto kept = kept_.find(pid);
  return kept == kept_.end() ? nullptr : &kept->second.front();
}

std::optional<Snapshot> OomCases::last_snapshot(const OomCapture& capture) {
  const auto found = std::find_if(ended_.rbegin(), ended_.rend(),
                                  [&](const Snapshot& snapshot) { return snapshot.process.pid == capture.pid(); });
  return found == ended_.rend() ? std::nullopt : std::optional<Snapshot>(*found);
}

OomReport OomCases::build(const OomCapture& capture, std::optional<Snapshot> accounting) {
  const bool traced = capture.kill.slot != 0;
  const auto known = traced && trace_ != nullptr ? trace_->address_space(capture.pid()) : std::nullopt;
  const AddressSpace space = known ? *known : AddressSpace{.pid = capture.pid(), .mappings = capture.mappings};
  OomReport report = build_oom_report(capture, space, trace_ == nullptr ? *own_symbolizer_ : trace_->symbolizer());
  if (traced && !accounting) report.notes.emplace_back("its last accounting could not be read: outstanding allocations are missing here");
  report.accounting = std::move(accounting);
  if (!report.accounting) return report;
  use_figures_of_the_kill(report.accounting->process, report);
  if (const Snapshot* before = earlier(capture.pid())) report.earlier = *before;
  return report;
}

std::vector<OomReport> OomCases::take() {
  for (OomCapture& capture : recorder_->take()) waiting_.push_back({std::move(capture), Clock::now()});
  std::vector<OomReport> ready;
  std::erase_if(waiting_, [&](Waiting& waiting) {
    std::optional<Snapshot> last = waiting.capture.kill.slot != 0 ? last_snapshot(waiting.capture) : std::nullopt;
    const bool complete = waiting.capture.kill.slot == 0 || last;
    if (!complete && Clock::now() < waiting.since + kSnapshotGrace) return false;
    ready.push_back(build(waiting.capture, std::move(last)));
    return true;
  });
  return ready;
}

std::vector<ReclaimNotice> OomCases::take_reclaims() {
  std::vector<ReclaimNotice> notices;
  for (const CapturedThread& thread : recorder_->take_reclaims()) {
    const auto space = trace_ == nullptr ? std::nullopt : trace_->address_space(Tgid(thread.record.header.tgid));
    if (space) notices.push_back(build_reclaim_notice(thread, *space, trace_->symbolizer()));
  }
  return notices;
}

}  // namespace alloctrail
