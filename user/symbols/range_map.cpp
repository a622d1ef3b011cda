// SPDX-License-Identifier: Apache-2.0
// RangeMap: one sweep from low to high addresses over the ranges that are open there.
#include "user/symbols/range_map.h"

#include <algorithm>
#include <queue>

namespace alloctrail {

RangeMap::RangeMap(std::vector<Range> ranges) {
  std::erase_if(ranges, [](const Range& range) { return range.start >= range.end; });
  std::stable_sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.start < b.start; });
  const auto loses = [&](size_t a, size_t b) {
    return ranges[a].rank != ranges[b].rank ? ranges[a].rank < ranges[b].rank : a < b;
  };
  std::priority_queue<size_t, std::vector<size_t>, decltype(loses)> open(loses);

  uint64_t position = 0;
  size_t next = 0;
  while (next < ranges.size() || !open.empty()) {
    if (open.empty()) position = ranges[next].start;
    while (next < ranges.size() && ranges[next].start <= position) open.push(next++);
    while (!open.empty() && ranges[open.top()].end <= position) open.pop();
    if (open.empty()) continue;
    const Range& winner = ranges[open.top()];
    const uint64_t end = next < ranges.size() ? std::min(winner.end, ranges[next].start) : winner.end;
    if (!pieces_.empty() && pieces_.back().end == position && pieces_.back().value == winner.value) {
      pieces_.back().end = end;
    } else {
      pieces_.push_back({position, end, winner.value});
    }
    position = end;
  }
  pieces_.shrink_to_fit();
}

std::optional<uint64_t> RangeMap::find(uint64_t address) const {
  auto after = std::upper_bound(pieces_.begin(), pieces_.end(), address,
                                [](uint64_t wanted, const Piece& piece) { return wanted < piece.start; });
  if (after == pieces_.begin()) return std::nullopt;
  const Piece& piece = *--after;
  if (address >= piece.end) return std::nullopt;
  return piece.value;
}

}  // namespace alloctrail
