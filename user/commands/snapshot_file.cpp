// SPDX-License-Identifier: Apache-2.0
#include "user/commands/snapshot_file.h"

#include <fmt/format.h>

#include <chrono>

#include "user/output/output_file.h"
#include "user/recording/recording_writer.h"

namespace alloctrail {

Result<std::string> write_snapshot_file(const Snapshot& snapshot) {
  const auto since_epoch = std::chrono::duration_cast<std::chrono::milliseconds>(snapshot.time.time_since_epoch());
  const std::string path =
      fmt::format("alloctrail-{}-{}{}", raw(snapshot.process.pid), since_epoch.count(), kRecordingSuffix);
  auto sink = open_sink(path, Delivery::Whole);
  if (!sink) return std::move(sink).error();
  Moment moment;
  moment.snapshots.push_back(snapshot);
  if (auto written = (*sink)->write(RecordingWriter::header() + RecordingWriter().add(moment)); !written)
    return std::move(written).error();
  if (auto finished = (*sink)->finish(); !finished) return std::move(finished).error();
  return fmt::format("written: alloctrail show {}", path);
}

}  // namespace alloctrail
