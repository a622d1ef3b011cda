// SPDX-License-Identifier: Apache-2.0
// From Snapshots to the rows of a report: sorted, merged, compared with the report before. Pure functions; output/ only
// puts the rows into words.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/analysis/accounting.h"
#include "user/analysis/balance.h"
#include "user/analysis/call_tree.h"
#include "user/analysis/change.h"
#include "user/analysis/fault_table.h"
#include "user/analysis/interval.h"
#include "user/analysis/limit_history.h"
#include "user/analysis/mapped_table.h"
#include "user/analysis/report_query.h"
#include "user/analysis/shown_frames.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// What a row stands for: blocks allocated and freed since the attach.
struct Usage {
  Amount allocated;
  Amount freed;
  Amount older;  ///< outstanding blocks older than Snapshot::older_than
  Sampled sampled = {};
  [[nodiscard]] Amount outstanding() const { return allocated - freed; }
  Usage& operator+=(const Usage& other) {
    allocated += other.allocated;
    freed += other.freed;
    older += other.older;
    sampled += other.sampled;
    return *this;
  }
  friend bool operator==(Usage, Usage) = default;
};

struct Rate {
  double bytes_per_s = 0;
  double blocks_per_s = 0;
};

/// 95 % intervals of a row's amounts.
struct UsageIntervals {
  AmountInterval outstanding;
  AmountInterval allocated;
  AmountInterval freed;
  AmountInterval older;
};

/// What every row of a report has. Without a report before, rates are averages since the attach and `change` is empty.
struct Figures {
  Usage usage;
  std::optional<Change> change;
  Rate allocation;
  Rate release;
  double share = 0;  ///< of the process's ranked bytes, 0 to 1
  std::optional<UsageIntervals> intervals = {};  ///< none: the run does not sample, all figures are exact
};

struct ThreadRow {
  uint32_t thread = 0;  ///< index into Snapshot::threads
  Figures figures;
};

/// The sites of all threads with one stack.
struct StackRow {
  uint32_t stack = 0;        ///< index into Snapshot::stacks; of equal stacks the first
  uint32_t first_frame = 0;  ///< innermost frame to show
  uint32_t holders = 0;      ///< threads that hold ranked blocks of it
  uint32_t top_holder = 0;   ///< the one that holds most: index into Snapshot::threads
  Figures figures;
};

struct SiteRow {
  uint32_t thread = 0;
  uint32_t stack = 0;
  uint32_t first_frame = 0;
  Figures figures;
};

/// Rows in rank order, at most ReportQuery::top of them, and what the others hold.
template <class Row>
struct Table {
  std::vector<Row> rows;
  size_t left_out_rows = 0;
  Amount left_out;  ///< ranked amount of those rows
};

/// Which amount the tables are ranked by.
enum class Ranking { Outstanding, Older };

struct ReportView {
  Figures totals;  ///< of the whole process
  Table<ThreadRow> threads;
  Table<StackRow> stacks;  ///< only stacks that hold ranked blocks
  Table<SiteRow> sites;
  std::optional<CallTree> call_tree;  ///< if StackLayout::Tree was asked for
  Accounting accounting;
  std::optional<Balance> balance;    ///< of the resident memory
  std::optional<MappedView> mapped;  ///< who mapped what
  std::optional<size_t> top;         ///< rows to show of what is not cut here: ReportQuery::top
  std::optional<FaultView> faults;   ///< if they are watched
  std::optional<LimitView> limit;    ///< set by whoever keeps the history
  Ranking ranking = Ranking::Outstanding;
  bool has_previous = false;  ///< rates and changes refer to the report before
  std::optional<Tid> only_tid;
  FrameChoice frames = FrameChoice::Callers;

  /// The amount of a row that the tables are ranked by.
  [[nodiscard]] Amount ranked(const Usage& usage) const {
    return ranking == Ranking::Older ? usage.older : usage.outstanding();
  }
};

/// Ranks by bytes, then blocks, then thread id and stack index, so that equal rows keep their order. `previous` (may be
/// null) is the snapshot of the report before; one of another process or of a later moment is not used.
[[nodiscard]] ReportView report_view(const Snapshot& now, const Snapshot* previous, const ReportQuery& query);

}  // namespace alloctrail
