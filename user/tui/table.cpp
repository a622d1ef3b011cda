// SPDX-License-Identifier: Apache-2.0
#include "user/tui/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>

#include "user/output/units.h"
#include "user/tui/figures.h"

namespace alloctrail {

enum class Shows { Pid, Tid, Name, Outstanding, Share, Blocks, SinceMark, Growth, Allocations, Releases, Course, Rss,
                   Holder, Where };

struct TableColumn {
  Shows shows;
  const char* title;
  size_t width;                ///< of the flexible column: the least
  unsigned dispensable;        ///< 0: never left out; else those with the largest number go first
  std::optional<SortBy> sort;
  bool flexible = false;
};

namespace {

constexpr size_t kMostCallers = 8;

constexpr TableColumn kOutstanding{Shows::Outstanding, "OUTSTANDING", 12, 0, SortBy::Outstanding};
constexpr TableColumn kShare{Shows::Share, "SHARE", 6, 5, std::nullopt};
constexpr TableColumn kBlocks{Shows::Blocks, "BLOCKS", 9, 8, SortBy::Blocks};
constexpr TableColumn kSinceMark{Shows::SinceMark, "SINCE MARK", 11, 1, SortBy::SinceMark};
constexpr TableColumn kGrowth{Shows::Growth, "GROWTH/H", 10, 2, SortBy::Growth};
constexpr TableColumn kAllocations{Shows::Allocations, "ALLOCS/S", 9, 4, SortBy::Allocations};
constexpr TableColumn kReleases{Shows::Releases, "FREES/S", 9, 6, SortBy::Releases};
constexpr TableColumn kCourse{Shows::Course, "COURSE", 12, 3, std::nullopt};

constexpr TableColumn kProcessColumns[] = {{Shows::Pid, "PID", 7, 0, std::nullopt},
                                           {Shows::Name, "NAME", 8, 0, SortBy::Name, true},
                                           {Shows::Rss, "RSS", 9, 7, std::nullopt},
                                           kOutstanding, kSinceMark, kGrowth, kBlocks, kAllocations, kReleases, kCourse};
constexpr TableColumn kThreadColumns[] = {{Shows::Tid, "TID", 7, 7, std::nullopt},
                                          {Shows::Name, "NAME", 15, 0, SortBy::Name, true},
                                          kOutstanding, kShare, kSinceMark, kGrowth, kBlocks, kAllocations, kReleases,
                                          kCourse};
constexpr TableColumn kStackColumns[] = {kOutstanding, kShare, kSinceMark, kGrowth, kBlocks, kAllocations, kReleases,
                                         kCourse, {Shows::Holder, "THREAD", 22, 7, std::nullopt},
                                         {Shows::Where, "ALLOCATED BY", 34, 0, SortBy::Name, true}};
constexpr TableColumn kThreadStackColumns[] = {kOutstanding, kShare, kSinceMark, kGrowth, kBlocks, kAllocations,
                                               kReleases, kCourse,
                                               {Shows::Where, "ALLOCATED BY", 34, 0, SortBy::Name, true}};

std::span<const TableColumn> columns_of(Page page) {
  switch (page) {
    case Page::Processes: return kProcessColumns;
    case Page::Threads: return kThreadColumns;
    case Page::ThreadStacks: return kThreadStackColumns;
    default: return kStackColumns;
  }
}

bool is_wanted(const TableColumn& column, const ViewState& state) {
  return column.shows != Shows::SinceMark || state.mark != nullptr;
}

std::string_view sort_mark(const ViewState& state) {
  const bool rises = (state.place().sort == SortBy::Name) != state.place().reversed;
  if (state.charset == Charset::Ascii) return rises ? "^" : "v";
  return rises ? "\xe2\x96\xb4" : "\xe2\x96\xbe";
}

bool is_left_aligned(Shows shows) {
  return shows == Shows::Name || shows == Shows::Course || shows == Shows::Holder || shows == Shows::Where;
}

Look look_of(Shows shows, const Row& row) {
  switch (shows) {
    case Shows::Outstanding: return Look::Heading;
    case Shows::Name:
    case Shows::Where: return Look::Strong;
    case Shows::Growth: return surely_grows(*row.activity) ? Look::Warning : Look::Faint;
    case Shows::Course: return Look::Faint;
    default: return Look::Plain;
  }
}

uint64_t held_by_all(const Scene& scene, const ViewState& state) {
  const Picture* picture = picture_of(scene, state);
  if (picture == nullptr) return 0;
  const std::optional<uint32_t> thread = state.place().thread;
  if (state.place().page == Page::ThreadStacks && thread && *thread < picture->threads.size())
    return picture->threads[*thread].activity.usage.outstanding().bytes;
  return picture->total.usage.outstanding().bytes;
}

std::string share_text(uint64_t part, uint64_t whole) {
  return whole == 0 ? "-" : format_share(static_cast<double>(part) / static_cast<double>(whole));
}

}  // namespace

ListTable::ListTable(const Scene& scene, const ViewState& state, size_t width) : scene_(scene), state_(state) {
  for (const TableColumn& column : columns_of(state.place().page))
    if (is_wanted(column, state)) columns_.push_back({&column, column.width});
  const auto total = [&] {
    size_t sum = columns_.size() - 1;
    for (const Fitted& one : columns_) sum += one.width;
    return sum;
  };
  while (total() > width) {
    const auto least = std::ranges::max_element(columns_, {}, [](const Fitted& one) { return one.column->dispensable; });
    if (least->column->dispensable == 0) break;
    columns_.erase(least);
  }
  const size_t used = total();
  for (Fitted& one : columns_)
    if (one.column->flexible) {
      if (used <= width) one.width += width - used;
      else one.width -= std::min(one.width - 1, used - width);
    }
}

CellLine ListTable::titles() const {
  CellLine line(state_.charset);
  for (size_t i = 0; i < columns_.size(); ++i) {
    const TableColumn& column = *columns_[i].column;
    const bool sorted = column.sort == state_.place().sort;
    std::string title = column.title;
    if (sorted) title.resize(std::min(title.size(), columns_[i].width - 1)), title += sort_mark(state_);
    if (i > 0) line.add(" ");
    line.add_field(title, columns_[i].width, !is_left_aligned(column.shows), sorted ? Look::Heading : Look::Faint);
  }
  return line;
}

std::string ListTable::name(const Row& row, size_t width) const {
  const Picture& picture = *picture_of(scene_, state_);
  const auto short_enough = [&](const std::string& text) {
    return display_width(terminal_text(text, state_.charset)) <= width;
  };
  std::string shown = stack_name(picture, row.number, 0);
  for (size_t callers = 1; callers <= kMostCallers; ++callers) {
    std::string longer = stack_name(picture, row.number, callers);
    if (longer == shown || !short_enough(longer)) break;
    shown = std::move(longer);
  }
  return shown;
}

std::string ListTable::cell(const TableColumn& column, size_t width, const Row& row) const {
  const Activity& activity = *row.activity;
  const Amount held = activity.usage.outstanding();
  switch (column.shows) {
    case Shows::Pid: return fmt::format("{}", raw(scene_.processes[row.number]->snapshot->process.pid));
    case Shows::Rss: return format_bytes(scene_.processes[row.number]->snapshot->process.memory.vm_rss_bytes);
    case Shows::Outstanding: return format_bytes(held.bytes);
    case Shows::Share: return share_text(held.bytes, held_by_all(scene_, state_));
    case Shows::Blocks: return format_count(held.blocks);
    case Shows::SinceMark: return signed_bytes(row.since_mark());
    case Shows::Growth: return growth_text(activity);
    case Shows::Allocations: return format_count_rate(activity.allocation.blocks_per_s);
    case Shows::Releases: return format_count_rate(activity.release.blocks_per_s);
    case Shows::Course: return course_text(activity, width, state_.charset);
    case Shows::Where: return name(row, width);
    default: break;
  }
  if (state_.place().page == Page::Processes) {
    const Picture& picture = *scene_.processes[row.number];
    return picture.snapshot->process.comm + (picture.snapshot->end == EndReason::None ? "" : " [ended]");
  }
  const Picture& picture = *picture_of(scene_, state_);
  if (column.shows == Shows::Holder) {
    const StackEntry& entry = picture.stacks[row.number];
    if (entry.holders == 0) return "-";
    const std::string more = entry.holders == 1 ? "" : fmt::format(" +{}", entry.holders - 1);
    return fit(terminal_text(thread_name(picture, entry.top_holder), state_.charset), width - more.size(), Cut::End,
               state_.charset) + more;
  }
  const Thread& thread = picture.snapshot->threads[picture.threads[row.number].thread];
  if (column.shows == Shows::Tid) return fmt::format("{}", raw(thread.tid));
  return thread.name + (thread.alive ? "" : " [exited]");
}

CellLine ListTable::line(const Row& row) const {
  CellLine line(state_.charset);
  for (size_t i = 0; i < columns_.size(); ++i) {
    const TableColumn& column = *columns_[i].column;
    if (i > 0) line.add(" ");
    line.add_field(cell(column, columns_[i].width, row), columns_[i].width, !is_left_aligned(column.shows),
                   look_of(column.shows, row));
  }
  return line;
}

std::vector<SortBy> sort_choices(const ViewState& state) {
  std::vector<SortBy> choices;
  for (const TableColumn& column : columns_of(state.place().page))
    if (column.sort && is_wanted(column, state)) choices.push_back(*column.sort);
  return choices;
}

}  // namespace alloctrail
