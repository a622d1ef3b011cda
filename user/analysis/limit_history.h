// SPDX-License-Identifier: Apache-2.0
// The nearest limit of one process over a run, and how long it lasts. Pure.
#pragma once

#include <map>
#include <string>

#include "user/analysis/forecast.h"
#include "user/model/snapshot.h"

namespace alloctrail {

struct LimitView {
  Headroom nearest;
  Forecast left;
  std::optional<uint32_t> warned_percent;  ///< the report is a warning: this share of the limit has been reached
};

class LimitHistory {
 public:
  /// In order of time, about equally far apart. `now_s`: any clock.
  void add(double now_s, const MemoryBounds& bounds);
  /// The same; snapshots without bounds change nothing.
  void add(const Snapshot& snapshot);
  /// The nearest limit, at the growth of its use so far.
  [[nodiscard]] LimitView view(const MemoryBounds& bounds) const;
  /// That of the snapshot; nothing without bounds.
  [[nodiscard]] std::optional<LimitView> view(const Snapshot& snapshot) const;

 private:
  std::map<std::string, FloorSeries> uses_;  ///< by Headroom::cgroup
};

}  // namespace alloctrail
