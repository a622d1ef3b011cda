// SPDX-License-Identifier: Apache-2.0
#include "user/tui/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "user/output/units.h"
#include "user/tui/header.h"
#include "user/tui/rows.h"
#include "user/tui/table.h"
#include "user/tui/text_pages.h"

namespace alloctrail {
namespace {

constexpr size_t kLeastFullHeight = 16;
constexpr size_t kLeastFullWidth = 60;
constexpr size_t kLeastHeightWithTabs = 8;

std::string empty_words(const Scene& scene, const ViewState& state) {
  if (picture_of(scene, state) == nullptr) return "";
  if (!state.filter.empty()) return "nothing matches the filter (x shows all)";
  return state.place().page == Page::Threads ? "no thread has allocated since the attach" : "nothing allocated since the attach";
}

CellLine footer(const ViewState& state, const std::string& place, size_t width) {
  CellLine line(state.charset);
  if (state.typing) {
    line.add("filter: ", Look::Heading).add(*state.typing).add(" ", Look::Plain, Ground::Reversed);
    if (!state.notice.empty()) line.add("  " + state.notice, Look::Warning);
    return line.add("  Enter applies, Esc leaves", Look::Faint).cut(width);
  }
  if (!state.notice.empty()) return line.add(state.notice, Look::Warning).cut(width);
  const auto key = [&](const char* name, const char* meaning) {
    line.add(name, Look::Heading).add(" ").add(meaning, Look::Faint).add("  ");
  };
  key("q", "quit");
  key("?", "help");
  if (state.trail.size() > 1) key("Esc", "back");
  if (is_list(state.place().page)) {
    key("Enter", "open");
    key("Tab", "view");
    key("<>", "sort");
    key("/", "filter");
    key("m", "mark");
    key("Space", "freeze");
  }
  if (state.place().page == Page::Stacks || state.place().page == Page::ThreadStacks) key("t", "tree");
  if (state.place().page == Page::StackDetail) key("f", "frames");
  const size_t room = width > place.size() ? width - place.size() : 0;
  return line.cut(room).fill_to(room).add(place, Look::Faint);
}

/// Lists and texts are scrolled the same way; the selected line stays visible, and where it was if possible.
size_t first_line(size_t wanted, size_t position, bool selects, size_t count, size_t height) {
  if (count <= height) return 0;
  if (selects && position < wanted) wanted = position;
  if (selects && position >= wanted + height) wanted = position + 1 - height;
  return std::min(wanted, count - height);
}

class Composer {
 public:
  Composer(const Scene& scene, const ViewState& state, ScreenSize size)
      : scene_(scene), state_(state), size_(size), table_(scene, state, size.width) {}

  Drawn compose() {
    add_top();
    prepare_body();
    const size_t top = lines_.size();
    const size_t footers = size_.height == 0 ? 0 : 1;
    const size_t height = size_.height == 0 ? count_ : size_.height - std::min(size_.height, top + footers);
    const size_t first = first_line(state_.place().first, position_, is_list_, count_, height);
    for (size_t i = first; i < count_ && i < first + height; ++i) lines_.push_back(body_line(i));
    if (count_ == 0) lines_.push_back(CellLine(state_.charset).add(empty_words(scene_, state_), Look::Faint));
    Drawn drawn{CellGrid(size_.width, size_.height == 0 ? lines_.size() : size_.height), top, height, count_, first};
    for (size_t row = 0; row < lines_.size(); ++row) drawn.grid.put(row, std::move(lines_[row]));
    if (footers > 0) drawn.grid.put(size_.height - 1, footer(state_, place_words(first, height), size_.width));
    return drawn;
  }

 private:
  void add_top() {
    const bool high = size_.height == 0 || size_.height >= kLeastFullHeight;
    const HeaderSize size = high && size_.width >= kLeastFullWidth ? HeaderSize::Full : HeaderSize::Small;
    lines_ = header_lines(scene_, state_, size, size_.width);
    if (picture_of(scene_, state_) == nullptr) return;
    if (size_.height == 0 || size_.height >= kLeastHeightWithTabs) lines_.push_back(tabs_line(scene_, state_, size_.width));
  }

  void prepare_body() {
    is_list_ = is_list(state_.place().page);
    if (is_list_) {
      rows_ = rows(scene_, state_);
      count_ = rows_.size();
      position_ = selected_position(rows_, state_.place());
      if (picture_of(scene_, state_) != nullptr) lines_.push_back(table_.titles());
    } else {
      text_ = page_lines(scene_, state_, size_.width);
      count_ = text_.size();
    }
  }

  CellLine body_line(size_t i) {
    if (!is_list_) return text_[i];
    CellLine line = table_.line(rows_[i]);
    if (i == position_ && size_.height != 0) line.select(size_.width);
    return line;
  }

  [[nodiscard]] std::string place_words(size_t first, size_t height) const {
    if (count_ == 0) return "";
    if (is_list_) return fmt::format(" {}/{}", format_count(position_ + 1), format_count(count_));
    return count_ <= height ? "" : fmt::format(" {}%", 100 * std::min(count_, first + height) / count_);
  }

  const Scene& scene_;
  const ViewState& state_;
  ScreenSize size_;
  ListTable table_;
  std::vector<CellLine> lines_;
  std::vector<Row> rows_;
  std::vector<CellLine> text_;
  bool is_list_ = false;
  size_t count_ = 0;
  size_t position_ = 0;
};

}  // namespace

Drawn draw(const Scene& scene, const ViewState& state, ScreenSize size) { return Composer(scene, state, size).compose(); }

}  // namespace alloctrail
