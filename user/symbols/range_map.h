// SPDX-License-Identifier: Apache-2.0
// Address ranges that may overlap -> disjoint, sorted ones for binary search. What wins where is decided once, on
// building, so that a lookup costs the same however a hostile file nests its ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace alloctrail {

struct Range {
  uint64_t start = 0;
  uint64_t end = 0;  ///< first address behind it
  uint64_t rank =
      0;  ///< where ranges overlap the highest rank wins, then the one that starts last, then the one given last
  uint64_t value = 0;
};

class RangeMap {
 public:
  RangeMap() = default;
  explicit RangeMap(std::vector<Range> ranges);

  [[nodiscard]] std::optional<uint64_t> find(uint64_t address) const;
  [[nodiscard]] bool empty() const { return pieces_.empty(); }
  [[nodiscard]] size_t size() const { return pieces_.size(); }
  [[nodiscard]] size_t bytes() const { return pieces_.capacity() * sizeof(Piece); }

 private:
  struct Piece {
    uint64_t start;
    uint64_t end;
    uint64_t value;
  };
  std::vector<Piece> pieces_;
};

}  // namespace alloctrail
