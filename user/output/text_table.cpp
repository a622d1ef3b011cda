// SPDX-License-Identifier: Apache-2.0
#include "user/output/text_table.h"

#include <algorithm>
#include <numeric>

#include "user/result.h"

namespace alloctrail {
namespace {

constexpr size_t kWideGap = 2;
constexpr size_t kNarrowGap = 1;

size_t total_width(const std::vector<size_t>& widths, size_t gap) {
  return std::accumulate(widths.begin(), widths.end(), gap * (widths.size() - 1));
}

}  // namespace

void TextTable::add_row(std::vector<std::string> cells) {
  ALLOCTRAIL_CHECK(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<size_t> TextTable::natural_widths(const TextStyle& style) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = columns_[i].title.size();
    for (const auto& row : rows_) width = std::max(width, display_width(terminal_text(row[i], style.charset)));
    widths.push_back(width);
  }
  return widths;
}

void TextTable::narrow(std::vector<size_t>& widths, size_t gap, size_t width) const {
  for (size_t i = 0; i < columns_.size(); ++i) {
    const size_t total = total_width(widths, gap);
    if (total <= width) return;
    const size_t least = columns_[i].least_width;
    if (least == 0 || widths[i] <= least) continue;
    widths[i] -= std::min(widths[i] - least, total - width);
  }
}

std::string TextTable::str(const TextStyle& style) const {
  std::vector<size_t> widths = natural_widths(style);
  const size_t gap = style.width != 0 && total_width(widths, kWideGap) > style.width ? kNarrowGap : kWideGap;
  if (style.width != 0) narrow(widths, gap, style.width);
  const auto render = [&](const auto& cell_of, const auto& look_of) {
    TextLine line(style);
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string cell = fit(terminal_text(cell_of(i), style.charset), widths[i], Cut::End, style.charset);
      const size_t padding = widths[i] - display_width(cell);
      if (i > 0) line.add_spaces(gap);
      if (columns_[i].align == Align::Right) line.add_spaces(padding);
      line.add(cell, look_of(i));
      if (columns_[i].align == Align::Left) line.add_spaces(padding);
    }
    return line.str();
  };
  std::string text = render([&](size_t i) { return columns_[i].title; }, [](size_t) { return Look::Faint; });
  for (const auto& row : rows_) {
    text += render([&](size_t i) { return row[i]; }, [&](size_t i) { return columns_[i].look; });
  }
  return text;
}

}  // namespace alloctrail
