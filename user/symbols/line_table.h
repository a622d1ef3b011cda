// SPDX-License-Identifier: Apache-2.0
// The line table of one DWARF unit, copied out of libdw: a third of its size, and it can be dropped by itself.
#pragma once

#include <elfutils/libdw.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "user/symbols/dwarf_file.h"

namespace alloctrail {

class LineTable {
 public:
  LineTable() = default;
  /// Of the unit whose entry is `unit`; empty if it has none that can be read.
  LineTable(const DwarfFile& dwarf, Dwarf_Die unit);

  struct Place {
    uint32_t file = 0;  ///< as the unit numbers its files
    uint32_t line = 0;  ///< 0: unknown
  };
  /// The source line whose code contains `address`.
  [[nodiscard]] Place find(uint64_t address) const;
  /// Path of a file; empty if there is none of that number.
  [[nodiscard]] std::string_view file(uint64_t number) const;

  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  struct Row {
    uint64_t address;
    Place place;
  };
  void copy_files(const DwarfFile& dwarf, Dwarf_Files* files, size_t count);
  void copy_rows(Dwarf_Lines* lines, size_t count, Dwarf_Files* files, size_t file_count);

  std::vector<Row> rows_;
  std::vector<std::string> files_;
  size_t bytes_ = 0;
};

}  // namespace alloctrail
