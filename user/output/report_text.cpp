// SPDX-License-Identifier: Apache-2.0
#include "user/output/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "user/output/balance_text.h"
#include "user/output/limit_text.h"
#include "user/output/mapped_text.h"
#include "user/output/report_text_parts.h"
#include "user/output/text_table.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

std::string warnings(const Snapshot& snapshot, const ReportStyle& style) {
  std::string text;
  for (const std::string& warning : snapshot.warnings) {
    text += wrapped("WARNING: " + warning, 9, Look::Warning, style.text);
  }
  return text.empty() ? text : text + '\n';
}

std::string_view end_sentence(EndReason end) {
  switch (end) {
    case EndReason::None:
      break;
    case EndReason::Exited:
      return "the process has exited";
    case EndReason::Execed:
      return "the process now runs another program";
    case EndReason::Detached:
      return "detached";
  }
  return "";
}

// The figures must stay on the screen, so a long command gives way to them.
std::string process_line(const Snapshot& snapshot, const ReportStyle& style) {
  const ProcessFigures& process = snapshot.process;
  const std::string figures =
      fmt::format("   pid {}   RSS {}   VmData {}   threads {}", raw(process.pid), bytes_text(process.memory.vm_rss_bytes, style),
                  bytes_text(process.memory.vm_data_bytes, style), format_count(process.memory.threads));
  const std::string name = process.command.empty() ? "[" + process.comm + "]" : process.command;
  TextLine line(style.text);
  const size_t room = std::max(line.room() > figures.size() ? line.room() - figures.size() : 0, size_t{8});
  line.add(fit(terminal_text(name, style.text.charset), room, Cut::End, style.text.charset), Look::Heading);
  return line.add(figures).str();
}

std::string time_line(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  TextLine line(style.text);
  line.add(fmt::format("{}   {} since the attach", format_clock(snapshot.time), format_duration(snapshot.elapsed)));
  if (snapshot.end != EndReason::None) line.add("   ").add(end_sentence(snapshot.end), Look::Strong);
  std::string text = line.str();
  if (view.only_tid) {
    text +=
        wrapped(fmt::format("only thread {} is listed below; the totals are the whole process's", raw(*view.only_tid)),
                0, Look::Plain, style.text);
  }
  return text;
}

std::string limit_text(const ReportView& view, const ReportStyle& style) {
  if (!view.limit) return "";
  return TextLine(style.text).add(limit_line(view.limit->nearest, view.limit->left)).str();
}

std::string totals(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  const Figures& figures = view.totals;
  const Usage& usage = figures.usage;
  TextTable table({{"", Align::Left, Look::Heading, 0},
                   {"BYTES", Align::Right, Look::Plain, 0},
                   {"BLOCKS", Align::Right, Look::Plain, 0},
                   {"", Align::Left, Look::Plain, 16}});
  const auto row = [&](std::string name, Amount amount, std::string more) {
    table.add_row({std::move(name), bytes_text(amount.bytes, style), format_count(amount.blocks), std::move(more)});
  };
  const auto speed = [&](const Rate& rate) {
    return fmt::format("{}/s, {} blocks/s", rate_text(rate.bytes_per_s, style), format_count_rate(rate.blocks_per_s));
  };
  std::string since;
  if (figures.change) {
    since = fmt::format("change {}, {} blocks", change_text(figures.change->bytes, style),
                        signed_count_text(figures.change->blocks));
  }
  row("outstanding", usage.outstanding(), since);
  if (snapshot.older_than) row("  " + ranked_words(snapshot, view), usage.older, "");
  row("allocated", usage.allocated, speed(figures.allocation));
  row("freed", usage.freed, speed(figures.release));
  return table.str(style.text);
}

std::string left_out_line(size_t rows, Amount amount, std::string_view what, const ReportStyle& style) {
  if (rows == 0) return "";
  const std::string text =
      fmt::format("{} {} more {}{} with {} in {} blocks", ellipsis(style.text.charset), format_count(rows), what,
                  rows == 1 ? "" : "s", bytes_text(amount.bytes, style), format_count(amount.blocks));
  return TextLine(style.text).add(text, Look::Faint).str();
}

std::vector<Column> thread_columns(bool with_state, bool with_older) {
  std::vector<Column> columns = {{"TID", Align::Right, Look::Plain, 0}, {"NAME", Align::Left, Look::Strong, 8}};
  if (with_state) columns.push_back({"STATE", Align::Left, Look::Plain, 0});
  if (with_older) columns.push_back({"OLDER", Align::Right, Look::Heading, 0});
  columns.push_back({"OUTSTANDING", Align::Right, with_older ? Look::Plain : Look::Heading, 0});
  for (const char* title : {"BLOCKS", "CHANGE", "ALLOC/S", "FREE/S", "SHARE"}) {
    columns.push_back({title, Align::Right, Look::Plain, 0});
  }
  return columns;
}

std::string thread_table(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  std::string text = TextLine(style.text).add("THREADS by " + ranked_words(snapshot, view), Look::Heading).str();
  if (view.threads.rows.empty()) return text + "no thread has allocated since the attach\n";
  const bool with_older = view.ranking == Ranking::Older;
  const bool with_state = std::any_of(view.threads.rows.begin(), view.threads.rows.end(),
                                      [&](const ThreadRow& row) { return !snapshot.threads[row.thread].alive; });
  TextTable table(thread_columns(with_state, with_older));
  for (const ThreadRow& row : view.threads.rows) {
    const Thread& thread = snapshot.threads[row.thread];
    const Figures& figures = row.figures;
    std::vector<std::string> cells = {fmt::format("{}", raw(thread.tid)), thread.name};
    if (with_state) cells.emplace_back(thread.alive ? "" : "exited");
    if (with_older) cells.push_back(bytes_text(figures.usage.older.bytes, style));
    cells.push_back(bytes_text(figures.usage.outstanding().bytes, style));
    cells.push_back(format_count(view.ranked(figures.usage).blocks));
    cells.push_back(figures.change ? change_text(figures.change->bytes, style) : "-");
    cells.push_back(rate_text(figures.allocation.bytes_per_s, style));
    cells.push_back(rate_text(figures.release.bytes_per_s, style));
    cells.push_back(format_share(figures.share));
    table.add_row(std::move(cells));
  }
  return text + table.str(style.text) +
         left_out_line(view.threads.left_out_rows, view.threads.left_out, "thread", style);
}

std::string stacks(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  if (view.call_tree) return call_tree_text(snapshot, view, style);
  return stack_table_text(snapshot, view, style) +
         left_out_line(view.stacks.left_out_rows, view.stacks.left_out, "stack", style);
}

}  // namespace

std::string report_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  return warnings(snapshot, style) + process_line(snapshot, style) + time_line(snapshot, view, style) +
         limit_text(view, style) + '\n' +
         totals(snapshot, view, style) + '\n' + thread_table(snapshot, view, style) + '\n' +
         stacks(snapshot, view, style) + '\n' +
         (view.balance ? balance_text(snapshot, *view.balance, style) + '\n' : "") +
         mapped_text(snapshot, view, style) + accounting_text(snapshot, view, style);
}

}  // namespace alloctrail
