// SPDX-License-Identifier: Apache-2.0
#include "user/tui/cells.h"

#include <algorithm>

#include "user/output/character_width.h"

namespace alloctrail {
namespace {

/// The first character of valid UTF-8.
std::string_view first_character(std::string_view text, char32_t& character) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  character = length == 1 ? lead : lead & (0x7fu >> length);
  for (size_t i = 1; i < length && i < text.size(); ++i)
    character = character << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
  return text.substr(0, length);
}

}  // namespace

CellLine& CellLine::add(std::string_view text, Look look, Ground ground) {
  const std::string safe = terminal_text(text, charset_);
  for (std::string_view rest = safe; !rest.empty();) {
    char32_t character = 0;
    const std::string_view bytes = first_character(rest, character);
    rest.remove_prefix(bytes.size());
    const int width = character_width(character);
    if (width == 0 && !cells_.empty()) {
      Cell& base = cells_[cells_.size() - (cells_.back().text.empty() ? 2 : 1)];
      base.text += bytes;
    } else {
      cells_.push_back({std::string(bytes), look, ground});
      if (width == 2) cells_.push_back({"", look, ground});
    }
  }
  return *this;
}

CellLine& CellLine::add_field(std::string_view text, size_t width, bool right_aligned, Look look) {
  const std::string shown = fit(terminal_text(text, charset_), width, Cut::End, charset_);
  const size_t padding = width - std::min(width, display_width(shown));
  if (right_aligned) add(std::string(padding, ' '));
  add(shown, look);
  if (!right_aligned) add(std::string(padding, ' '));
  return *this;
}

CellLine& CellLine::fill_to(size_t column) {
  if (cells_.size() < column) cells_.resize(column);
  return *this;
}

CellLine& CellLine::cut(size_t width) {
  if (cells_.size() <= width) return *this;
  if (width > 0 && cells_[width].text.empty()) cells_[width - 1] = {" ", cells_[width - 1].look, Ground::Normal};
  cells_.resize(width);
  if (width == 0) return *this;
  if (cells_.back().text.empty()) cells_[width - 2].text = " ";
  cells_.back().text = charset_ == Charset::Utf8 ? "\xe2\x80\xa6" : ">";
  return *this;
}

CellLine& CellLine::select(size_t width) {
  fill_to(width);
  for (Cell& cell : cells_) cell.ground = Ground::Reversed;
  return *this;
}

CellGrid CellGrid::top(size_t height) const {
  CellGrid result(width_, std::min(height, height_));
  std::copy_n(cells_.begin(), result.cells_.size(), result.cells_.begin());
  return result;
}

void CellGrid::put(size_t row, CellLine line) {
  if (row >= height_) return;
  line.cut(width_).fill_to(width_);
  std::copy(line.cells().begin(), line.cells().end(), cells_.begin() + static_cast<std::ptrdiff_t>(row * width_));
}

namespace {

const char* escape_code(const Cell& cell) {
  if (cell.ground == Ground::Reversed) return "\x1b[7m";
  switch (cell.look) {
    case Look::Plain: break;
    case Look::Heading: return "\x1b[1m";
    case Look::Strong: return "\x1b[1;36m";
    case Look::Faint: return "\x1b[2m";
    case Look::Warning: return "\x1b[1;33m";
    case Look::Loss: return "\x1b[1;31m";
  }
  return "";
}

const char* svg_class(const Cell& cell) {
  switch (cell.look) {
    case Look::Plain: break;
    case Look::Heading: return "h";
    case Look::Strong: return "s";
    case Look::Faint: return "f";
    case Look::Warning: return "w";
    case Look::Loss: return "l";
  }
  return "p";
}

std::string xml_text(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '<') result += "&lt;";
    else if (c == '>') result += "&gt;";
    else if (c == '&') result += "&amp;";
    else result += c;
  }
  return result;
}

bool same_paint(const Cell& a, const Cell& b) { return a.look == b.look && a.ground == b.ground; }

/// Columns of a line up to the last that shows something.
size_t used_columns(const CellGrid& grid, size_t row) {
  size_t used = grid.width();
  while (used > 0 && grid.at(row, used - 1) == Cell{}) --used;
  return used;
}

/// Calls `paint(first column, past the last, text)` for each stretch of cells that look alike.
template <class Paint>
void for_each_stretch(const CellGrid& grid, size_t row, Paint paint) {
  const size_t used = used_columns(grid, row);
  for (size_t first = 0, last = 0; first < used; first = last) {
    std::string text;
    while (last < used && same_paint(grid.at(row, first), grid.at(row, last))) text += grid.at(row, last++).text;
    paint(first, last, text);
  }
}

}  // namespace

std::string grid_text(const CellGrid& grid, Color color) {
  std::string text;
  for (size_t row = 0; row < grid.height(); ++row) {
    std::string line;
    for_each_stretch(grid, row, [&](size_t first, size_t, const std::string& words) {
      const char* code = color == Color::On ? escape_code(grid.at(row, first)) : "";
      line += code + words + (*code == '\0' ? "" : "\x1b[0m");
    });
    if (color == Color::Off) line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

std::string grid_svg(const CellGrid& grid) {
  constexpr size_t kWidth = 8, kHeight = 17, kMargin = 8;
  const auto x = [&](size_t column) { return std::to_string(kMargin + column * kWidth); };
  const auto size = [&](size_t cells, size_t each) { return std::to_string(2 * kMargin + cells * each); };
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + size(grid.width(), kWidth) + "\" height=\"" +
                    size(grid.height(), kHeight) +
                    "\" font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"13\" "
                    "xml:space=\"preserve\">\n<style>.p{fill:#d0d0d0}.h{fill:#fff;font-weight:bold}.s{fill:#5fd7d7}"
                    ".f{fill:#8a8a8a}.w{fill:#ffd75f}.l{fill:#ff5f5f}.r{fill:#1c1c1c}</style>\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"#1c1c1c\"/>\n";
  for (size_t row = 0; row < grid.height(); ++row) {
    for_each_stretch(grid, row, [&](size_t first, size_t last, const std::string& words) {
      const bool reversed = grid.at(row, first).ground == Ground::Reversed;
      if (reversed)
        svg += "<rect x=\"" + x(first) + "\" y=\"" + std::to_string(kMargin + row * kHeight) + "\" width=\"" +
               std::to_string((last - first) * kWidth) + "\" height=\"" + std::to_string(kHeight) +
               "\" fill=\"#d0d0d0\"/>\n";
      svg += "<text class=\"" + std::string(reversed ? "r" : svg_class(grid.at(row, first))) + "\" x=\"" + x(first) +
             "\" y=\"" + std::to_string(kMargin + row * kHeight + 13) + "\" textLength=\"" +
             std::to_string((last - first) * kWidth) + "\">" + xml_text(words) + "</text>\n";
    });
  }
  return svg + "</svg>\n";
}

}  // namespace alloctrail
