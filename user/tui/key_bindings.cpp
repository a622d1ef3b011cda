// SPDX-License-Identifier: Apache-2.0
#include "user/tui/key_bindings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "user/output/units.h"
#include "user/tui/rows.h"
#include "user/tui/table.h"

namespace alloctrail {
namespace {

using std::chrono::milliseconds;

constexpr std::array<milliseconds, 8> kIntervals = {milliseconds(250),  milliseconds(500),   milliseconds(1000),
                                                    milliseconds(2000), milliseconds(5000),  milliseconds(10'000),
                                                    milliseconds(30'000), milliseconds(60'000)};
constexpr size_t kLongestFilter = 64;
constexpr std::array kRoots = {Page::Processes, Page::Threads, Page::Stacks, Page::Process, Page::Probes};

void append_utf8(std::string& text, char32_t c) {
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))};
  } else if (c < 0x10000) {
    text += {static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3f)),
             static_cast<char>(0x80 | (c & 0x3f))};
  } else {
    text += {static_cast<char>(0xf0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3f)),
             static_cast<char>(0x80 | (c >> 6 & 0x3f)), static_cast<char>(0x80 | (c & 0x3f))};
  }
}

class Press {
 public:
  Press(ViewState& state, const std::shared_ptr<const Scene>& newest, const Drawn& drawn)
      : state_(state), newest_(newest), scene_(state.frozen ? *state.frozen : *newest), drawn_(drawn) {}

  void handle(const Key& key) {
    state_.notice.clear();
    if (state_.typing) return type(key);
    switch (key.kind) {
      case Key::Kind::Up: return move(-1);
      case Key::Kind::Down: return move(1);
      case Key::Kind::PageUp: return move(-page_step());
      case Key::Kind::PageDown: return move(page_step());
      case Key::Kind::Home: return go_home();
      case Key::Kind::End: return move(static_cast<int64_t>(drawn_.body_lines));
      case Key::Kind::Enter: return enter();
      case Key::Kind::Backspace:
      case Key::Kind::Escape: return leave();
      case Key::Kind::Tab: return next_root(1);
      case Key::Kind::BackTab: return next_root(kRoots.size() - 1);
      case Key::Kind::Click: return click(key);
      case Key::Kind::Character: return character(key.character);
    }
  }

 private:
  [[nodiscard]] int64_t page_step() const { return std::max<int64_t>(1, static_cast<int64_t>(drawn_.body_height) - 1); }

  void move(int64_t lines) {
    if (is_list(state_.place().page)) return select(static_cast<int64_t>(selected_position(shown(), state_.place())) + lines);
    const int64_t last = std::max<int64_t>(0, static_cast<int64_t>(drawn_.body_lines) - static_cast<int64_t>(drawn_.body_height));
    state_.place().first = static_cast<size_t>(std::clamp<int64_t>(static_cast<int64_t>(drawn_.first) + lines, 0, last));
  }

  [[nodiscard]] std::vector<Row> shown() const { return rows(scene_, state_); }

  void select(int64_t position) {
    const std::vector<Row> all = shown();
    if (all.empty()) return;
    Place& place = state_.place();
    place.position = static_cast<size_t>(std::clamp<int64_t>(position, 0, static_cast<int64_t>(all.size()) - 1));
    place.selected = all[place.position].number;
    place.first = drawn_.first;
  }

  /// The first row, whichever that will be.
  void go_home() {
    state_.place().selected.reset();
    state_.place().position = state_.place().first = 0;
  }

  void enter() {
    const std::vector<Row> all = shown();
    if (all.empty()) return;
    const uint32_t number = all[selected_position(all, state_.place())].number;
    Place& here = state_.place();
    here.position = selected_position(all, here);
    here.selected = number;  // to be found again on the way back
    Place next;
    switch (here.page) {
      case Page::Processes:
        state_.process = number;
        state_.filter = Filter();
        return open_root(Page::Threads);
      case Page::Threads:
        next.page = Page::ThreadStacks;
        next.thread = number;
        break;
      case Page::Stacks:
      case Page::ThreadStacks:
        next.page = Page::StackDetail;
        next.thread = here.thread;
        next.stack = number;
        break;
      default: return;
    }
    state_.trail.push_back(next);
  }

  void leave() {
    if (state_.trail.size() > 1) state_.trail.pop_back();
    else if (!state_.filter.empty()) state_.filter = Filter();
  }

  void open_root(Page page) {
    if (page == Page::Processes && scene_.processes.size() < 2) return;
    state_.trail.assign(1, place_on(page));
  }

  void next_root(size_t step) {
    const Page root = state_.trail.front().page;
    size_t at = static_cast<size_t>(std::ranges::find(kRoots, root) - kRoots.begin());
    do at = (at + step) % kRoots.size();
    while (kRoots[at] == Page::Processes && scene_.processes.size() < 2);
    open_root(kRoots[at]);
  }

  void open(Page page) {
    if (state_.place().page != page) state_.trail.push_back(place_on(page));
  }

  void toggle_tree() {
    Place tree = place_on(Page::CallTree);
    tree.thread = state_.place().thread;
    const Page page = state_.place().page;
    if (page == Page::CallTree) leave();
    else if (page == Page::Stacks || page == Page::ThreadStacks) state_.trail.push_back(tree);
  }

  void click(const Key& key) {
    if (!is_list(state_.place().page) || key.row < drawn_.body_row) return;
    const size_t line = key.row - drawn_.body_row;
    if (line < drawn_.body_height && drawn_.first + line < drawn_.body_lines)
      select(static_cast<int64_t>(drawn_.first + line));
  }

  void sort(size_t step) {
    if (!is_list(state_.place().page)) return;
    const std::vector<SortBy> choices = sort_choices(state_);
    const size_t at = static_cast<size_t>(std::ranges::find(choices, state_.place().sort) - choices.begin());
    state_.place().sort = choices[(std::min(at, choices.size() - 1) + step) % choices.size()];
    state_.place().reversed = false;
  }

  void set_interval(int step) {
    const auto at = std::ranges::lower_bound(kIntervals, state_.interval) - kIntervals.begin();
    const auto next = std::clamp<std::ptrdiff_t>(at + step, 0, static_cast<std::ptrdiff_t>(kIntervals.size()) - 1);
    state_.interval = kIntervals[static_cast<size_t>(next)];
    state_.notice = fmt::format("a snapshot every {}", format_duration(state_.interval));
  }

  void mark() {
    state_.mark = state_.frozen ? state_.frozen : newest_;
    state_.notice = "marked: SINCE MARK shows what is held more since now; x forgets it";
  }

  void forget() {
    state_.mark.reset();
    state_.filter = Filter();
    for (Place& place : state_.trail)
      if (place.sort == SortBy::SinceMark) place.sort = SortBy::Outstanding;
  }

  void character(char32_t c) {
    switch (c) {
      case 'q': state_.wish = Wish::Quit; break;
      case 'w': state_.wish = Wish::Write; break;
      case 'j': move(1); break;
      case 'k': move(-1); break;
      case '<': sort(sort_choices(state_).size() - 1); break;
      case '>': sort(1); break;
      case 'r': state_.place().reversed = !state_.place().reversed; break;
      case '/': state_.typing = state_.filter.expression(); break;
      case 'm': mark(); break;
      case 'x': forget(); break;
      case ' ': state_.frozen = state_.frozen ? nullptr : newest_; break;
      case '+': set_interval(-1); break;
      case '-': set_interval(1); break;
      case 'f': state_.frames = state_.frames == FrameChoice::All ? FrameChoice::Callers : FrameChoice::All; break;
      case 't': toggle_tree(); break;
      case 'o': open(Page::Death); break;
      case '?':
      case 'h': open(Page::Help); break;
      default:
        if (c >= '0' && c < '0' + kRoots.size()) open_root(kRoots[c - '0']);
    }
  }

  void type(const Key& key) {
    std::string& text = *state_.typing;
    switch (key.kind) {
      case Key::Kind::Character:
        if (key.character >= ' ' && key.character != 0x7f && text.size() < kLongestFilter) append_utf8(text, key.character);
        break;
      case Key::Kind::Backspace:
        while (!text.empty() && (text.back() & 0xc0) == 0x80) text.pop_back();
        if (!text.empty()) text.pop_back();
        break;
      case Key::Kind::Enter: apply_filter(); break;
      case Key::Kind::Escape: state_.typing.reset(); break;
      default: break;
    }
  }

  /// An expression that is none stays to be mended.
  void apply_filter() {
    auto compiled = Filter::compile(*state_.typing);
    if (!compiled) {
      state_.notice = "not a regular expression: " + compiled.error().message;
      return;
    }
    state_.filter = *std::move(compiled);
    state_.typing.reset();
  }

  ViewState& state_;
  const std::shared_ptr<const Scene>& newest_;
  const Scene& scene_;
  const Drawn& drawn_;
};

}  // namespace

void press(ViewState& state, const Key& key, const std::shared_ptr<const Scene>& newest, const Drawn& drawn) {
  Press(state, newest, drawn).handle(key);
}

}  // namespace alloctrail
