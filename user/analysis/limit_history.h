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
};

class LimitHistory {
 public:
  /// In order of time; snapshots without bounds change nothing.
  void add(const Snapshot& snapshot);
  /// The nearest limit in the snapshot, at the growth of its use so far; nothing without bounds.
  [[nodiscard]] std::optional<LimitView> view(const Snapshot& snapshot) const;

 private:
  std::map<std::string, FloorSeries> uses_;  ///< by Headroom::cgroup
};

}  // namespace alloctrail
