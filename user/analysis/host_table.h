// SPDX-License-Identifier: Apache-2.0
// From HostSnapshots to the rows of `ps`: which process grows, how fast for sure, and how long its nearest limit lasts.
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "user/analysis/forecast.h"
#include "user/analysis/trend.h"
#include "user/model/host_snapshot.h"

namespace alloctrail {

enum class RowOrder {
  Growth,  ///< those that surely grow first, by how much and how sure
  Tree,    ///< children below their parents; brothers by growth
};

struct HostQuery {
  RowOrder order = RowOrder::Growth;
  std::optional<size_t> top;  ///< rows; none: all
};

struct HostRow {
  uint32_t process = 0;         ///< index into HostSnapshot::processes
  uint32_t depth = 0;           ///< in the tree
  std::optional<Trend> growth;  ///< of resident and swapped bytes, per second
  Headroom limit;               ///< the nearest
  Forecast left;                ///< until that limit, at the growth of all that it bounds
};

struct HostTable {
  std::vector<HostRow> rows;
  size_t left_out_rows = 0;
  uint64_t left_out_rss_bytes = 0;
};

/// What was seen of each process and each limit so far.
class HostHistory {
 public:
  /// In order of time. Forgets processes and limits that are gone.
  void add(const HostSnapshot& snapshot);
  /// The rows of the snapshot that was added last.
  [[nodiscard]] HostTable table(const HostSnapshot& snapshot, const HostQuery& query) const;

 private:
  using Identity = std::pair<Tgid, uint64_t>;

  std::map<Identity, FloorSeries> processes_;
  std::map<std::string, FloorSeries> limits_;  ///< by Headroom::cgroup
};

}  // namespace alloctrail
