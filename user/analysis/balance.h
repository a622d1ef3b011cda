// SPDX-License-Identifier: Apache-2.0
// What the resident memory of a process consists of: the program's blocks, the allocator's share, stacks, maps. Pure
// functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "user/model/residence.h"
#include "user/model/snapshot.h"

namespace alloctrail {

enum class BalancePart {
  LiveBlocks,      ///< outstanding since the attach, as far as there is room for them
  AllocatorOther,  ///< the rest of the allocators' memory: rounding, free but kept, blocks older than the attach
  ThreadStacks,
  MainStack,
  OtherAnonymous,  ///< the program's own anonymous maps, without the blocks that must lie in them
  File,
  Shared,
  Special,
};

struct BalanceLine {
  BalancePart part;
  uint64_t bytes = 0;
  double share = 0;        ///< of the resident memory
  bool estimated = false;  ///< not counted by the kernel, but inferred
};

struct Balance {
  uint64_t rss_bytes = 0;          ///< VmRSS at the moment of reading
  std::vector<BalanceLine> lines;  ///< every part, in the order of BalancePart
  int64_t unexplained_bytes = 0;   ///< VmRSS minus all parts
  double explained_share = 1;      ///< 1 minus the absolute unexplained part
  uint64_t reserved_bytes = 0;     ///< address space without access; no part of the resident memory
  std::chrono::nanoseconds age{};  ///< how long before the snapshot the ranges were read
};

/// Nothing if the snapshot has no residence. Outstanding bytes are requested bytes and need not have been touched, so
/// what is said of blocks and of the allocator's rest is an estimate; their sum is counted.
[[nodiscard]] std::optional<Balance> balance(const Snapshot& snapshot);

/// "live_blocks": as JSON and `explain` spell it.
[[nodiscard]] const char* name_of(BalancePart part);

}  // namespace alloctrail
