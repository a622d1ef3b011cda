// SPDX-License-Identifier: Apache-2.0
#include "user/commands/replay.h"

#include <fmt/core.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <utility>
#include <vector>

#include "user/commands/reporter.h"
#include "user/recording/recording_reader.h"

namespace alloctrail {
namespace {

/// Moments in order; those that will not be printed have been passed to the reporter.
using Tail = std::deque<Moment>;

Tail last_moments(RecordingReader& recording, size_t count, Reporter& reporter) {
  Tail tail;
  while (auto moment = recording.next()) {
    tail.push_back(*std::move(moment));
    if (tail.size() <= count) continue;
    reporter.pass(std::move(tail.front().snapshots));
    tail.pop_front();
  }
  return tail;
}

/// The last Snapshot of each process, those of ended ones where they ended.
Tail last_of_each(RecordingReader& recording, Reporter& reporter) {
  Tail tail;
  std::vector<Snapshot> running;
  while (auto moment = recording.next()) {
    Moment ended{{}, std::move(moment->deaths)};
    for (Snapshot& snapshot : moment->snapshots) {
      const auto known = std::find_if(running.begin(), running.end(), [&](const Snapshot& one) {
        return one.process.pid == snapshot.process.pid;
      });
      if (known != running.end()) {
        std::vector<Snapshot> before;
        before.push_back(std::move(*known));
        running.erase(known);
        reporter.pass(std::move(before));
      }
      (snapshot.end == EndReason::None ? running : ended.snapshots).push_back(std::move(snapshot));
    }
    if (!ended.snapshots.empty() || !ended.deaths.empty()) tail.push_back(std::move(ended));
  }
  if (!running.empty()) tail.push_back({std::move(running), {}});
  return tail;
}

}  // namespace

Result<ExitCode> replay(const ReportOptions& options) {
  auto recording = RecordingReader::open(*options.recording);
  if (!recording) {
    Error failure = std::move(recording).error();
    if (options.recording->find_first_not_of("0123456789") == std::string::npos) failure.hint = "a process id follows -p";
    return failure;
  }
  auto reporter = Reporter::open(options);
  if (!reporter) return std::move(reporter).error();
  Tail tail = options.count ? last_moments(*recording, *options.count, *reporter) : last_of_each(*recording, *reporter);
  if (tail.empty()) fmt::print(stderr, "alloctrail: '{}' holds no report\n", *options.recording);
  for (Moment& moment : tail) {
    if (auto printed = reporter->print(std::move(moment.snapshots)); !printed) return std::move(printed).error();
    for (const OomReport& death : moment.deaths)
      if (auto printed = reporter->print(death); !printed) return std::move(printed).error();
  }
  if (auto finished = reporter->finish(); !finished) return std::move(finished).error();
  if (!recording->problem().empty()) fmt::print(stderr, "alloctrail: {}\n", recording->problem());
  return recording->damaged() ? kExitDataLost : kExitOk;
}

}  // namespace alloctrail
