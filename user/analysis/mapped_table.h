// SPDX-License-Identifier: Apache-2.0
// From a Snapshot's mapped ranges to the rows of a report. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "user/model/snapshot.h"

namespace alloctrail {

/// All ranges of one kind.
struct MappedKindRow {
  RangeKind kind{};
  MappedAmount all;
  MappedAmount since;  ///< of those: mapped since the attach
  uint64_t resident_bytes = 0;
  uint64_t resident_since_bytes = 0;
};

/// What was mapped since the attach by one thread from one stack, or is otherwise of one origin.
struct MappedRow {
  size_t row = 0;  ///< index into Mapped::rows
  RangeKind kind{};
};

struct MappedView {
  std::vector<MappedKindRow> kinds;  ///< those there are, in the order of RangeKind
  MappedAmount all;
  MappedAmount since;
  std::vector<MappedRow> rows;  ///< those since the attach first, each group by bytes; all of them
  bool with_resident = false;  ///< smaps could be read
  /// mapped since the attach = what of it stands + unmapped.
  bool balanced = true;
};

/// Nothing if mapped ranges were not tracked. `only_tid`: rows of this thread alone; the sums stay the process's.
[[nodiscard]] std::optional<MappedView> mapped_view(const Snapshot& snapshot, std::optional<Tid> only_tid);

/// What the row is for. Memory that was mapped from inside an allocator, by the names on its stack, is the allocator's
/// also where its calls are not traced.
[[nodiscard]] RangeKind kind_of(const MappingRow& row, const Snapshot& snapshot);

/// "thread_stack", "before_attach": as JSON and `explain` spell them.
[[nodiscard]] const char* name_of(RangeKind kind);
[[nodiscard]] const char* name_of(RangeOrigin origin);

}  // namespace alloctrail
