// SPDX-License-Identifier: Apache-2.0
#include "user/tui/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "user/analysis/shown_frames.h"
#include "user/analysis/site_name.h"
#include "user/output/function_name.h"

namespace alloctrail {
namespace {

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string frame_name(const Frame& frame) {
  const std::string name =
      frame.function.empty() ? fmt::format("{:#x}", raw(frame.address)) : short_function_name(frame.function);
  if (!frame.file.empty()) return fmt::format("{} {}:{}", name, base_name(frame.file), frame.line);
  return frame.module.empty() ? name : fmt::format("{} {}", name, base_name(frame.module));
}

/// All that is known of a stack, for the filter.
std::string stack_words(const Picture& picture, uint32_t number) {
  const StackEntry& entry = picture.stacks[number];
  std::string words = thread_name(picture, entry.top_holder);
  for (const Frame& frame : picture.snapshot->stacks[entry.stack].frames)
    words += fmt::format("\n{} {}:{} {}", frame.function, frame.file, frame.line, frame.module);
  return words;
}

std::string process_words(const Picture& picture) {
  const ProcessFigures& process = picture.snapshot->process;
  return fmt::format("{} {} {}", process.comm, raw(process.pid), process.command);
}

template <class Entry>
Usage at_mark(const std::vector<Entry>& entries, size_t number) {
  return number < entries.size() ? entries[number].activity.usage : Usage{};
}

/// The same process at the mark.
const Picture* marked_picture(const ViewState& state, size_t process) {
  return state.mark && process < state.mark->processes.size() ? state.mark->processes[process].get() : nullptr;
}

class RowList {
 public:
  RowList(const Scene& scene, const ViewState& state)
      : scene_(scene), state_(state), picture_(picture_of(scene, state)), mark_(marked_picture(state, state.process)) {}

  std::vector<Row> build() {
    switch (state_.place().page) {
      case Page::Processes: add_processes(); break;
      case Page::Threads: add_threads(); break;
      case Page::Stacks: add_stacks(); break;
      case Page::ThreadStacks: add_thread_stacks(); break;
      default: break;
    }
    sort();
    return std::move(rows_);
  }

 private:
  template <class Text>
  void add(uint32_t number, const Activity& activity, const Usage& marked, Text text) {
    const Page page = state_.place().page == Page::ThreadStacks ? Page::Stacks : state_.place().page;
    if (state_.filter.shows({static_cast<int>(page), state_.process, number}, text))
      rows_.push_back({number, &activity, marked});
  }

  void add_processes() {
    for (uint32_t i = 0; i < scene_.processes.size(); ++i) {
      const Picture& picture = *scene_.processes[i];
      const Picture* mark = marked_picture(state_, i);
      const Usage marked = mark == nullptr ? Usage{} : mark->total.usage;
      if (state_.filter.shows({static_cast<int>(Page::Processes), 0, i}, [&] { return process_words(picture); }))
        rows_.push_back({i, &picture.total, marked});
    }
  }

  void add_threads() {
    if (picture_ == nullptr) return;
    for (uint32_t i = 0; i < picture_->threads.size(); ++i)
      if (const ThreadEntry& entry = picture_->threads[i]; entry.thread != kAbsent)
        add(i, entry.activity, mark_ == nullptr ? Usage{} : at_mark(mark_->threads, i),
            [&] { return thread_name(*picture_, i); });
  }

  void add_stacks() {
    if (picture_ == nullptr) return;
    for (uint32_t i = 0; i < picture_->stacks.size(); ++i)
      if (const StackEntry& entry = picture_->stacks[i]; entry.stack != kAbsent)
        add(i, entry.activity, mark_ == nullptr ? Usage{} : at_mark(mark_->stacks, i),
            [&] { return stack_words(*picture_, i); });
  }

  void add_thread_stacks() {
    if (picture_ == nullptr) return;
    for (uint32_t i = 0; i < picture_->sites.size(); ++i) {
      const SiteEntry& entry = picture_->sites[i];
      if (state_.place().thread == entry.thread && picture_->stacks[entry.stack].stack != kAbsent)
        add(entry.stack, entry.activity, mark_ == nullptr ? Usage{} : at_mark(mark_->sites, i),
            [&] { return stack_words(*picture_, entry.stack); });
    }
  }

  [[nodiscard]] double value(const Row& row) const {
    const Activity& activity = *row.activity;
    switch (state_.place().sort) {
      case SortBy::Blocks: return static_cast<double>(activity.usage.outstanding().blocks);
      case SortBy::SinceMark: return static_cast<double>(row.since_mark());
      case SortBy::Growth: {
        const bool known = activity.course && activity.course->growth && activity.course->growth->per_s.bounded();
        return known ? activity.course->growth->per_s.value : -std::numeric_limits<double>::max();
      }
      case SortBy::Allocations: return activity.allocation.blocks_per_s;
      case SortBy::Releases: return activity.release.blocks_per_s;
      default: return static_cast<double>(activity.usage.outstanding().bytes);
    }
  }

  [[nodiscard]] std::string name(const Row& row) const {
    const Page page = state_.place().page;
    if (page == Page::Processes) return process_words(*scene_.processes[row.number]);
    if (page == Page::Threads) return thread_name(*picture_, row.number);
    return stack_name(*picture_, row.number, 0);
  }

  /// Figures fall, names rise, unless reversed.
  void sort() {
    if (state_.place().sort == SortBy::Name) {
      sort_by([this](const Row& row) { return name(row); });
    } else {
      sort_by([this](const Row& row) { return -value(row); });
    }
    if (state_.place().reversed) std::ranges::reverse(rows_);
  }

  template <class KeyOf>
  void sort_by(KeyOf key_of) {
    using SortKey = decltype(key_of(std::declval<Row>()));
    std::vector<std::tuple<SortKey, uint32_t, size_t>> order;
    order.reserve(rows_.size());
    for (size_t i = 0; i < rows_.size(); ++i) order.emplace_back(key_of(rows_[i]), rows_[i].number, i);
    std::ranges::sort(order);
    std::vector<Row> sorted;
    sorted.reserve(rows_.size());
    for (const auto& one : order) sorted.push_back(rows_[std::get<2>(one)]);
    rows_ = std::move(sorted);
  }

  const Scene& scene_;
  const ViewState& state_;
  const Picture* picture_;
  const Picture* mark_;
  std::vector<Row> rows_;
};

}  // namespace

std::vector<Row> rows(const Scene& scene, const ViewState& state) { return RowList(scene, state).build(); }

size_t selected_position(const std::vector<Row>& rows, const Place& place) {
  if (!place.selected || rows.empty()) return 0;
  const auto found = std::ranges::find(rows, *place.selected, &Row::number);
  return found != rows.end() ? static_cast<size_t>(found - rows.begin()) : std::min(place.position, rows.size() - 1);
}

std::string thread_name(const Picture& picture, uint32_t number) {
  if (number >= picture.threads.size() || picture.threads[number].thread == kAbsent) return "?";
  const Thread& thread = picture.snapshot->threads[picture.threads[number].thread];
  return fmt::format("{} ({})", thread.name, raw(thread.tid));
}

std::string stack_name(const Picture& picture, uint32_t number, size_t most) {
  const Stack& stack = picture.snapshot->stacks[picture.stacks[number].stack];
  const std::optional<uint32_t> naming = naming_frame(stack);
  if (!naming) return "(no frames)";
  std::string name = frame_name(stack.frames[*naming]);
  size_t callers = 0;
  for (const uint32_t i : shown_frames(stack, FrameChoice::Callers))
    if (i > *naming && callers++ < most) name += " < " + frame_name(stack.frames[i]);
  return name;
}

}  // namespace alloctrail
