// SPDX-License-Identifier: Apache-2.0
// The line table of one DWARF unit. Not libdw's: that takes up to 100 bytes for each byte of the line program, and ten
// times as long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "user/symbols/line_header.h"

namespace alloctrail {

class LineTable {
 public:
  LineTable() = default;
  /// Of the line program at `offset` of a unit that was compiled in `directory`; empty if there is none that can be read.
  LineTable(const LineSections& sections, uint64_t offset, std::string_view directory);

  struct Place {
    uint32_t file = 0;  ///< as the unit numbers its files
    uint32_t line = 0;  ///< 0: unknown
    friend bool operator==(const Place&, const Place&) = default;
  };
  /// The source line whose code contains `address`.
  [[nodiscard]] Place find(uint64_t address) const;
  /// Path of a file; empty if there is none of that number.
  [[nodiscard]] std::string_view file(uint64_t number) const;

  [[nodiscard]] size_t bytes() const { return bytes_; }

  /// From `address` on, up to the next row, the code belongs to `place`.
  struct Row {
    uint64_t address;
    Place place;
  };

 private:
  std::vector<Row> rows_;
  std::vector<std::string> files_;
  size_t bytes_ = 0;
};

}  // namespace alloctrail
