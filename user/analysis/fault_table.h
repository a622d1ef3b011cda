// SPDX-License-Identifier: Apache-2.0
// Page faults as rows of a report: by kind of range, thread and stack. Pure functions of Snapshots.
//
// A fault says that memory was touched, not that it is still there: what the program gave back in between (munmap,
// MADV_DONTNEED) is touched again as if it were new. What is there now is the Balance's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "user/analysis/report_query.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// Estimates where only every Faults::interval-th fault is sampled.
struct Touched {
  uint64_t faults = 0;
  uint64_t bytes = 0;
  Touched& operator+=(Touched other) {
    faults += other.faults;
    bytes += other.bytes;
    return *this;
  }
  friend bool operator==(Touched, Touched) = default;
};

struct TouchFigures {
  Touched touched;                      ///< since the attach
  std::optional<int64_t> change_bytes;  ///< since the report before
  double bytes_per_s = 0;               ///< since the report before or, without one, the attach
  double share = 0;                     ///< of all the process touched
};

struct TouchKindRow {
  ResidentKind kind{};
  TouchFigures figures;
};

struct TouchThreadRow {
  uint32_t thread = 0;  ///< index into Snapshot::threads
  TouchFigures figures;
};

/// What all threads touched from stacks that look the same, in one kind of range.
struct TouchStackRow {
  uint32_t stack = 0;  ///< index into Snapshot::stacks; of equal stacks the first
  ResidentKind kind{};
  uint32_t holders = 0;     ///< threads
  uint32_t top_holder = 0;  ///< the one that touched most: index into Snapshot::threads
  TouchFigures figures;
};

/// One thread, stack and kind.
struct TouchSiteRow {
  uint32_t thread = 0;
  uint32_t stack = 0;
  ResidentKind kind{};
  TouchFigures figures;
};

/// counted = sampled + unsampled + missed; sampled = in_sites + lost.
struct FaultAccounting {
  uint64_t counted = 0;
  uint64_t sampled = 0;
  uint64_t unsampled = 0;  ///< between two samples
  uint64_t missed = 0;     ///< that the kernel did not hand over; where not all are sampled, at least so many
  uint64_t in_sites = 0;
  uint64_t lost = 0;  ///< by the program, for the reasons in Faults::counters
};

template <class Row>
struct TouchTable {
  std::vector<Row> rows;  ///< most bytes first, at most ReportQuery::top
  size_t left_out_rows = 0;
  Touched left_out;
};

struct FaultView {
  TouchFigures totals;
  std::vector<TouchKindRow> kinds;  ///< those that were touched
  TouchTable<TouchThreadRow> threads;
  TouchTable<TouchStackRow> stacks;
  TouchTable<TouchSiteRow> sites;
  FaultAccounting accounting;
};

/// `now` has faults. `previous` (may be null) is the usable snapshot of the report before.
[[nodiscard]] FaultView fault_view(const Snapshot& now, const Snapshot* previous, const ReportQuery& query);

/// "thread_stacks": as the parts of the balance are spelt.
[[nodiscard]] const char* name_of(ResidentKind kind);

}  // namespace alloctrail
