// SPDX-License-Identifier: Apache-2.0
// What the user asked to see of a snapshot.
#pragma once

#include <cstddef>
#include <optional>

#include "user/analysis/shown_frames.h"
#include "user/ids.h"

namespace alloctrail {

/// How a report shows the stacks.
enum class StackLayout {
  List,  ///< one below the other
  Tree,  ///< as a call tree
};

struct ReportQuery {
  std::optional<size_t> top;    ///< rows of each table; none: all
  std::optional<Tid> only_tid;  ///< only this thread's rows; the totals stay those of the process
  FrameChoice frames = FrameChoice::Callers;
  StackLayout stacks = StackLayout::List;
};

}  // namespace alloctrail
