// SPDX-License-Identifier: Apache-2.0
// Columns of text under titles, as narrow as their contents; narrowed further where the screen demands it.
#pragma once

#include <string>
#include <vector>

#include "user/output/text_line.h"

namespace alloctrail {

enum class Align { Left, Right };

struct Column {
  std::string title;
  Align align = Align::Right;
  Look look = Look::Plain;
  size_t least_width = 0;  ///< the column may be cut to this many columns where the table is too wide; 0: never
};

class TextTable {
 public:
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell per column.
  void add_row(std::vector<std::string> cells);

  /// The titles and rows.
  [[nodiscard]] std::string str(const TextStyle& style) const;

 private:
  [[nodiscard]] std::vector<size_t> natural_widths(const TextStyle& style) const;
  void narrow(std::vector<size_t>& widths, size_t gap, size_t width) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace alloctrail
