// SPDX-License-Identifier: Apache-2.0
// The conservation check: every allocation call seen is live, freed, failed, left out or lost for a named reason. Pure
// functions of a Snapshot; the identities are stated in alloctrail/counters.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/model/snapshot.h"
#include "user/result.h"

namespace alloctrail {

/// How a counter is to be read.
enum class CounterKind {
  Flow,  ///< part of the ordinary course: always shown
  Loss,  ///< something is missing from the report because of it
  Note,  ///< nothing is missing, but a figure means less than it seems
};

/// One counter of the process: calls and, where the event has a size, bytes.
struct CounterLine {
  std::string name;  ///< as in alloctrail/counters.h without "_calls" and "_bytes", e.g. "lost_live_full"
  CounterKind kind = CounterKind::Note;
  uint64_t calls = 0;
  std::optional<uint64_t> bytes;
  std::string sentence;
};

/// What one identity leaves over. Negative: more is accounted for than was seen.
struct Difference {
  int64_t calls = 0;
  int64_t bytes = 0;
  friend bool operator==(Difference, Difference) = default;
};

struct Accounting {
  std::vector<CounterLine> lines;  ///< every counter, in the order of the shared list
  Amount live;                     ///< sums over the sites of what was recorded, which are no estimates
  Amount freed;
  Amount lost;                     ///< sum of the lost_* counters
  Difference in_flight;            ///< seen - (live + freed + failed + sampled_out + filtered + lost)
  Difference untracked;            ///< tracked - (live + freed): entered the live table, not yet in a site
  int64_t unmatched_releases = 0;  ///< released - ((freed - missed_free) + free_unknown)
  /// False if more is accounted for than was seen. Calls under way leave a positive rest, provided that the snapshot's
  /// sites were read before its counters; at a quiet moment every rest is zero.
  bool balanced = true;

  [[nodiscard]] bool anything_lost() const;
};

[[nodiscard]] Accounting accounting(const Snapshot& snapshot);

}  // namespace alloctrail
