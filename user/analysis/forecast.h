// SPDX-License-Identifier: Apache-2.0
// How much room a process has before the kernel kills, and how long that lasts at its present growth. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "user/analysis/trend.h"
#include "user/model/memory.h"

namespace alloctrail {

/// One bound on a process's memory: a cgroup with a limit, or the host.
struct Headroom {
  std::string cgroup;        ///< its name; empty: the host
  uint64_t limit_bytes = 0;  ///< of the host: all memory and swap
  uint64_t use_bytes = 0;    ///< what cannot be taken back: without page cache
  uint64_t swap_bytes = 0;   ///< part of the room that is swap
  uint64_t room_bytes = 0;   ///< until the kernel has to kill, swap included
  friend bool operator==(const Headroom&, const Headroom&) = default;
};

/// Every bound, from within: those of the innermost cgroup first, the host last.
[[nodiscard]] std::vector<Headroom> headrooms(const MemoryBounds& bounds);

/// The one with the least room.
[[nodiscard]] Headroom nearest_limit(const MemoryBounds& bounds);

/// When the room is used up.
struct Forecast {
  enum class Outcome {
    TooEarly,     ///< not enough was seen to say anything
    NoneInSight,  ///< no growth that is sure; `seconds.lower` is the soonest that it could be, infinite if it shrinks
    Beyond,       ///< it grows, and lasts more than ten times as long as was watched: `seconds.lower`
    Exhausts,     ///< in `seconds`
  };
  Outcome outcome = Outcome::TooEarly;
  Estimate seconds;
};

/// `growth` of the use, in bytes per second.
[[nodiscard]] Forecast forecast(const std::optional<Trend>& growth, uint64_t room_bytes);

}  // namespace alloctrail
