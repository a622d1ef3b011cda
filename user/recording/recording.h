// SPDX-License-Identifier: Apache-2.0
// What a recording file is made of; recording_writer makes it, recording_reader takes it apart.
//
// A skippable zstd frame that says what the file is, then one zstd frame, with a checksum, for each Moment: `zstd -dc`
// unpacks any recording. A Moment is a protocol-buffers message whose fields are numbered by field_lists.h:
//   1 frames and 2 stacks that were not in the file before; 3 Snapshots and 4 OomReports, which name them by number.
// Nothing refers forward, so that a file which is cut short is readable up to there.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "user/model/oom_report.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// What one look at the targets found: a Snapshot of each, and those that the OOM killer took meanwhile.
struct Moment {
  std::vector<Snapshot> snapshots;
  std::vector<OomReport> deaths;
};

/// What the name of a recording ends with.
inline constexpr std::string_view kRecordingSuffix = ".alloctrail";

namespace recording {

inline constexpr uint32_t kHeaderMagic = 0x184D2A5A;  ///< one of the sixteen of a skippable frame, RFC 8878 3.1.2
inline constexpr std::string_view kSchema = "alloctrail/recording/";
inline constexpr uint32_t kVersion = 1;

/// Field numbers of a Moment and of the definition of a stack.
enum MomentField : uint32_t { kFrames = 1, kStacks = 2, kSnapshots = 3, kDeaths = 4 };
enum StackField : uint32_t { kStackFrames = 1, kStackStatus = 2 };
enum CounterField : uint32_t { kCounterName = 1, kCounterValue = 2 };

}  // namespace recording
}  // namespace alloctrail
