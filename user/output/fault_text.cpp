// SPDX-License-Identifier: Apache-2.0
#include "user/output/fault_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "user/output/report_text_parts.h"
#include "user/output/text_table.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

const char* words_for(ResidentKind kind) {
  switch (kind) {
    case ResidentKind::BrkHeap:
      return "heap";
    case ResidentKind::Arena:
      return "malloc arenas of threads";
    case ResidentKind::NamedAllocator:
      return "allocator's named maps";
    case ResidentKind::ThreadStack:
      return "thread stacks";
    case ResidentKind::MainStack:
      return "main stack";
    case ResidentKind::OtherAnonymous:
      return "other anonymous maps";
    case ResidentKind::File:
      return "files: code, data, mapped";
    case ResidentKind::Shared:
      return "shared memory";
    case ResidentKind::Special:
      return "vdso";
    case ResidentKind::Unknown:
      break;
  }
  return "maps that are gone";
}

/// Figures of samples are estimates.
std::string touched_text(const Snapshot& snapshot, uint64_t bytes, const ReportStyle& style) {
  return (snapshot.faults->interval > 1 ? "~" : "") + bytes_text(bytes, style);
}

std::string change_of(const TouchFigures& figures, const ReportStyle& style) {
  return figures.change_bytes ? change_text(*figures.change_bytes, style) : "-";
}

std::vector<std::string> figure_cells(const Snapshot& snapshot, const TouchFigures& figures, const ReportStyle& style) {
  return {touched_text(snapshot, figures.touched.bytes, style), format_count(figures.touched.faults),
          change_of(figures, style), rate_text(figures.bytes_per_s, style), format_share(figures.share)};
}

void add_figure_columns(std::vector<Column>& columns) {
  columns.push_back({"TOUCHED", Align::Right, Look::Heading, 0});
  for (const char* title : {"FAULTS", "CHANGE", "TOUCHED/S", "SHARE"})
    columns.push_back({title, Align::Right, Look::Plain, 0});
}

template <class Cells>
void append(std::vector<std::string>& row, Cells cells) {
  row.insert(row.end(), cells.begin(), cells.end());
}

std::string kind_table(const Snapshot& snapshot, const FaultView& faults, const ReportStyle& style) {
  std::vector<Column> columns = {{"", Align::Left, Look::Plain, 16}};
  add_figure_columns(columns);
  TextTable table(std::move(columns));
  for (const TouchKindRow& row : faults.kinds) {
    std::vector<std::string> cells = {words_for(row.kind)};
    append(cells, figure_cells(snapshot, row.figures, style));
    table.add_row(std::move(cells));
  }
  std::vector<std::string> total = {"all"};
  append(total, figure_cells(snapshot, faults.totals, style));
  table.add_row(std::move(total));
  return table.str(style.text);
}

std::string rest_line(size_t rows, Touched rest, const char* what, const Snapshot& snapshot, const ReportStyle& style) {
  if (rows == 0) return "";
  const std::string text = fmt::format("{} {} more {}{} with {}", ellipsis(style.text.charset), format_count(rows),
                                       what, rows == 1 ? "" : "s", touched_text(snapshot, rest.bytes, style));
  return TextLine(style.text).add(text, Look::Faint).str();
}

std::string thread_table(const Snapshot& snapshot, const FaultView& faults, const ReportStyle& style) {
  std::string text = TextLine(style.text).add("THREADS by memory touched", Look::Heading).str();
  const bool with_state = std::ranges::any_of(
      faults.threads.rows, [&](const TouchThreadRow& row) { return !snapshot.threads[row.thread].alive; });
  std::vector<Column> columns = {{"TID", Align::Right, Look::Plain, 0}, {"NAME", Align::Left, Look::Strong, 8}};
  if (with_state) columns.push_back({"STATE", Align::Left, Look::Plain, 0});
  add_figure_columns(columns);
  TextTable table(std::move(columns));
  for (const TouchThreadRow& row : faults.threads.rows) {
    const Thread& thread = snapshot.threads[row.thread];
    std::vector<std::string> cells = {fmt::format("{}", raw(thread.tid)), thread.name};
    if (with_state) cells.emplace_back(thread.alive ? "" : "exited");
    append(cells, figure_cells(snapshot, row.figures, style));
    table.add_row(std::move(cells));
  }
  return text + table.str(style.text) +
         rest_line(faults.threads.left_out_rows, faults.threads.left_out, "thread", snapshot, style);
}

std::string heading(size_t rank, const TouchStackRow& row, const Snapshot& snapshot, const ReportStyle& style) {
  const Thread& top = snapshot.threads[row.top_holder];
  const std::string name = fmt::format("{} ({})", top.name, raw(top.tid));
  TextLine line(style.text);
  line.add(fmt::format("{:>3}. ", rank)).add_spaces(1);
  line.add(touched_text(snapshot, row.figures.touched.bytes, style), Look::Heading);
  line.add(fmt::format(" in {} fault{}  {}", format_count(row.figures.touched.faults),
                       row.figures.touched.faults == 1 ? "" : "s", format_share(row.figures.share)));
  if (row.figures.change_bytes)
    line.add("  " + (*row.figures.change_bytes == 0 ? "unchanged" : change_of(row.figures, style)));
  line.add("  ").add(row.holders == 1 ? name : fmt::format("{} and {} more", name, format_count(row.holders - 1)),
                     Look::Strong);
  return line.add("  ").add(words_for(row.kind), Look::Faint).str();
}

std::string stack_table(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  std::string text = TextLine(style.text).add("STACKS by memory touched", Look::Heading).str();
  const FaultView& faults = *view.faults;
  for (size_t i = 0; i < faults.stacks.rows.size(); ++i) {
    const TouchStackRow& row = faults.stacks.rows[i];
    text += heading(i + 1, row, snapshot, style) + frames_text(snapshot.stacks[row.stack], view.frames, style.text);
  }
  return text + rest_line(faults.stacks.left_out_rows, faults.stacks.left_out, "stack", snapshot, style);
}

std::string accounting_lines(const Snapshot& snapshot, const FaultView& view, const ReportStyle& style) {
  const Faults& faults = *snapshot.faults;
  const FaultAccounting& account = view.accounting;
  std::vector<std::string> pieces = {fmt::format("counted {} page faults", format_count(account.counted)),
                                     fmt::format("= taken {}", format_count(account.sampled)),
                                     fmt::format("+ between samples {}", format_count(account.unsampled)),
                                     fmt::format("+ missed {}", format_count(account.missed))};
  if (faults.interval > 1) pieces.push_back(fmt::format("(each taken stands for {})", format_count(faults.interval)));
  std::string text = wrapped(pieces, 2, Look::Plain, style.text);
  const auto note = [&](uint64_t number, const char* word, const char* sentence, Look look) {
    if (number != 0)
      text += wrapped(fmt::format("{} {} {}", word, format_count(number), sentence), 2, look, style.text);
  };
  note(account.missed, "LOST", "page faults that the kernel did not hand over", Look::Loss);
  note(faults.uncertain_threads, "NOTE", "threads were started during the attach and may be missing", Look::Warning);
#define ALLOCTRAIL_FAULT_NOTE(name, sentence)                                            \
  if (const std::string_view counter = #name; counter != "sampled")                      \
    note(faults.counters.name, counter.starts_with("lost_") ? "LOST" : "NOTE", sentence, \
         counter.starts_with("lost_") ? Look::Loss : Look::Warning);
  AT_FAULT_COUNTERS(ALLOCTRAIL_FAULT_NOTE)
#undef ALLOCTRAIL_FAULT_NOTE
  return text;
}

}  // namespace

std::string fault_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  const FaultView& faults = *view.faults;
  std::string text = TextLine(style.text).add("MEMORY TOUCHED since the attach, by page faults", Look::Heading).str();
  if (faults.totals.touched.faults == 0) return text + "none yet\n" + accounting_lines(snapshot, faults, style);
  text += kind_table(snapshot, faults, style) +
          wrapped("touched, not kept: what the program gave back in between counts again when it is touched again", 0,
                  Look::Faint, style.text);
  return text + '\n' + thread_table(snapshot, faults, style) + '\n' + stack_table(snapshot, view, style) + '\n' +
         accounting_lines(snapshot, faults, style);
}

}  // namespace alloctrail
