// SPDX-License-Identifier: Apache-2.0
// Stacks merged from their outer ends into a tree of calls: who holds memory through whom.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "user/analysis/change.h"
#include "user/analysis/shown_frames.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// What each stack of a snapshot holds.
struct HeldStacks {
  const std::vector<Stack>& stacks;
  std::vector<Amount> amounts;  ///< by index into `stacks`
};

/// A place in the program, reached by one way.
struct CallNode {
  uint32_t depth = 0;  ///< callers above it in the tree
  uint32_t stack = 0;  ///< the place is frame `frame` of this stack, an index into HeldStacks::stacks
  uint32_t frame = 0;
  at_stack_status status = AT_STACK_complete;  ///< of all stacks below its root; not complete: the root has callers
  Amount total;                                ///< of all stacks that go through here
  Amount own;                                  ///< of those whose innermost shown frame is here
  std::optional<Change> change;                ///< of `total`; only with a report before
  uint32_t left_out_calls = 0;                 ///< callees that are not in the tree
  Amount left_out;                             ///< what is held through them
};

struct CallTree {
  std::vector<CallNode> nodes;  ///< each directly followed by its callees with theirs, the largest first
  uint32_t left_out_roots = 0;
  Amount left_out;   ///< what is held through those
  Amount frameless;  ///< held by stacks without frames
};

/// Stacks that hold nothing are not in it. Places are merged as in the table of stacks: by source line of a function, with
/// FrameChoice::All by address; stacks that ended differently share no root. `top`: only the places of that many largest
/// own amounts, with all their callers; none: all. `before` may be null. The order depends on amounts and names only.
[[nodiscard]] CallTree call_tree(const HeldStacks& now, const HeldStacks* before, FrameChoice choice,
                                 std::optional<size_t> top);

}  // namespace alloctrail
