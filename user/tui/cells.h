// SPDX-License-Identifier: Apache-2.0
// A screen as a value: a grid of character cells with a look each. Made by the views, painted by screen.cpp, as plain
// text by --batch and tests, or as a picture.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "user/output/text_line.h"

namespace alloctrail {

enum class Ground { Normal, Reversed };

/// One column of one line. A wide character is followed by a cell with empty text.
struct Cell {
  std::string text = " ";  ///< one character with its combining marks
  Look look = Look::Plain;
  Ground ground = Ground::Normal;
  friend bool operator==(const Cell&, const Cell&) = default;
};

/// A line of cells under construction. Whatever is added is made safe for terminals.
class CellLine {
 public:
  explicit CellLine(Charset charset) : charset_(charset) {}

  CellLine& add(std::string_view text, Look look = Look::Plain, Ground ground = Ground::Normal);
  /// The same in exactly `width` columns, cut or filled up.
  CellLine& add_field(std::string_view text, size_t width, bool right_aligned, Look look = Look::Plain);
  /// Spaces up to a column.
  CellLine& fill_to(size_t column);
  /// At most this many columns; a mark stands where something was cut.
  CellLine& cut(size_t width);
  /// All cells, filled up to `width`, as the selected row looks.
  CellLine& select(size_t width);

  [[nodiscard]] size_t width() const { return cells_.size(); }
  [[nodiscard]] const std::vector<Cell>& cells() const { return cells_; }
  [[nodiscard]] Charset charset() const { return charset_; }

 private:
  Charset charset_;
  std::vector<Cell> cells_;
};

class CellGrid {
 public:
  CellGrid(size_t width, size_t height) : width_(width), height_(height), cells_(width * height) {}

  [[nodiscard]] size_t width() const { return width_; }
  [[nodiscard]] size_t height() const { return height_; }
  [[nodiscard]] const Cell& at(size_t row, size_t column) const { return cells_[row * width_ + column]; }
  /// The first lines of it.
  [[nodiscard]] CellGrid top(size_t height) const;
  /// Replaces a whole line; one outside of the grid is dropped.
  void put(size_t row, CellLine line);
  friend bool operator==(const CellGrid&, const CellGrid&) = default;

 private:
  size_t width_;
  size_t height_;
  std::vector<Cell> cells_;
};

/// Lines without trailing spaces, each with its newline; with escape sequences for the looks if `color` is on.
[[nodiscard]] std::string grid_text(const CellGrid& grid, Color color);

/// A picture of the grid for documents, on a dark background.
[[nodiscard]] std::string grid_svg(const CellGrid& grid);

}  // namespace alloctrail
