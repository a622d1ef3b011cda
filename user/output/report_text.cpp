// SPDX-License-Identifier: Apache-2.0
#include "user/output/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "user/output/balance_text.h"
#include "user/output/fault_text.h"
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

std::string sampling_line(const Snapshot& snapshot, const ReportStyle& style) {
  if (!snapshot.sampling) return "";
  const uint64_t rate = snapshot.sampling->rate_bytes;
  const std::string now = rate == 0 ? "every allocation is recorded now"
                                    : fmt::format("about one allocation in {} is recorded", bytes_text(rate, style));
  return wrapped(fmt::format("{}: figures are estimates, each with its 95 % interval", now), 0, Look::Plain, style.text);
}

std::string limit_text(const ReportView& view, const ReportStyle& style) {
  if (!view.limit) return "";
  const auto& [nearest, left, warned_percent] = *view.limit;
  const std::string warning =
      warned_percent ? wrapped(limit_warning(nearest, *warned_percent), 9, Look::Warning, style.text) : std::string();
  return warning + TextLine(style.text).add(limit_line(nearest, left)).str();
}

/// Bytes and blocks, each with its interval where the run samples.
void add_amount_columns(std::vector<Column>& columns, const Column& bytes, const Figures& figures) {
  const Column interval{"95% INT.", Align::Right, Look::Faint, 0};
  columns.push_back(bytes);
  if (figures.intervals) columns.push_back(interval);
  columns.push_back({"BLOCKS", Align::Right, Look::Plain, 0});
  if (figures.intervals) columns.push_back(interval);
}

void add_amount_cells(std::vector<std::string>& cells, Amount amount, const Figures& figures,
                      AmountInterval UsageIntervals::*interval, const ReportStyle& style) {
  cells.push_back(bytes_text(amount.bytes, style));
  if (figures.intervals) cells.push_back(bytes_interval_text(((*figures.intervals).*interval).bytes, amount.bytes, style));
  cells.push_back(format_count(amount.blocks));
  if (figures.intervals) cells.push_back(blocks_interval_text(((*figures.intervals).*interval).blocks, amount.blocks));
}

std::string totals(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  const Figures& figures = view.totals;
  const Usage& usage = figures.usage;
  std::vector<Column> columns = {{"", Align::Left, Look::Heading, 0}};
  add_amount_columns(columns, {"BYTES", Align::Right, Look::Plain, 0}, figures);
  columns.push_back({"", Align::Left, Look::Plain, 16});
  TextTable table(std::move(columns));
  const auto row = [&](std::string name, Amount amount, AmountInterval UsageIntervals::*interval, std::string more) {
    std::vector<std::string> cells = {std::move(name)};
    add_amount_cells(cells, amount, figures, interval, style);
    cells.push_back(std::move(more));
    table.add_row(std::move(cells));
  };
  const auto speed = [&](const Rate& rate) {
    return fmt::format("{}/s, {} blocks/s", rate_text(rate.bytes_per_s, style), format_count_rate(rate.blocks_per_s));
  };
  std::string since;
  if (figures.change) {
    since = fmt::format("change {}, {} blocks", change_text(figures.change->bytes, style),
                        signed_count_text(figures.change->blocks));
  }
  row("outstanding", usage.outstanding(), &UsageIntervals::outstanding, since);
  if (snapshot.older_than) row("  " + ranked_words(snapshot, view), usage.older, &UsageIntervals::older, "");
  row("allocated", usage.allocated, &UsageIntervals::allocated, speed(figures.allocation));
  row("freed", usage.freed, &UsageIntervals::freed, speed(figures.release));
  return table.str(style.text);
}

std::string left_out_line(size_t rows, Amount amount, std::string_view what, const ReportStyle& style) {
  if (rows == 0) return "";
  const std::string text =
      fmt::format("{} {} more {}{} with {} in {} blocks", ellipsis(style.text.charset), format_count(rows), what,
                  rows == 1 ? "" : "s", bytes_text(amount.bytes, style), format_count(amount.blocks));
  return TextLine(style.text).add(text, Look::Faint).str();
}

// Estimates need their intervals more than rates, which are in the totals.
std::vector<Column> thread_columns(bool with_state, bool with_older, const Figures& totals) {
  std::vector<Column> columns = {{"TID", Align::Right, Look::Plain, 0}, {"NAME", Align::Left, Look::Strong, 8}};
  if (with_state) columns.push_back({"STATE", Align::Left, Look::Plain, 0});
  if (with_older) columns.push_back({"OUTSTANDING", Align::Right, Look::Plain, 0});
  add_amount_columns(columns, {with_older ? "OLDER" : "OUTSTANDING", Align::Right, Look::Heading, 0}, totals);
  columns.push_back({"CHANGE", Align::Right, Look::Plain, 0});
  if (!totals.intervals)
    for (const char* title : {"ALLOC/S", "FREE/S"}) columns.push_back({title, Align::Right, Look::Plain, 0});
  columns.push_back({"SHARE", Align::Right, Look::Plain, 0});
  return columns;
}

std::vector<std::string> thread_cells(const Thread& thread, const Figures& figures, bool with_state, bool with_older,
                                      const ReportStyle& style) {
  std::vector<std::string> cells = {fmt::format("{}", raw(thread.tid)), thread.name};
  if (with_state) cells.emplace_back(thread.alive ? "" : "exited");
  const Usage& usage = figures.usage;
  if (with_older) cells.push_back(bytes_text(usage.outstanding().bytes, style));
  if (with_older)
    add_amount_cells(cells, usage.older, figures, &UsageIntervals::older, style);
  else
    add_amount_cells(cells, usage.outstanding(), figures, &UsageIntervals::outstanding, style);
  cells.push_back(figures.change ? change_text(figures.change->bytes, style) : "-");
  if (!figures.intervals) {
    cells.push_back(rate_text(figures.allocation.bytes_per_s, style));
    cells.push_back(rate_text(figures.release.bytes_per_s, style));
  }
  cells.push_back(format_share(figures.share));
  return cells;
}

std::string thread_table(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  std::string text = TextLine(style.text).add("THREADS by " + ranked_words(snapshot, view), Look::Heading).str();
  if (view.threads.rows.empty()) return text + "no thread has allocated since the attach\n";
  const bool with_older = view.ranking == Ranking::Older;
  const bool with_state = std::any_of(view.threads.rows.begin(), view.threads.rows.end(),
                                      [&](const ThreadRow& row) { return !snapshot.threads[row.thread].alive; });
  TextTable table(thread_columns(with_state, with_older, view.totals));
  for (const ThreadRow& row : view.threads.rows)
    table.add_row(thread_cells(snapshot.threads[row.thread], row.figures, with_state, with_older, style));
  return text + table.str(style.text) +
         left_out_line(view.threads.left_out_rows, view.threads.left_out, "thread", style);
}

std::string stacks(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  if (view.call_tree) return call_tree_text(snapshot, view, style);
  return stack_table_text(snapshot, view, style) +
         left_out_line(view.stacks.left_out_rows, view.stacks.left_out, "stack", style);
}

std::string heap_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  return totals(snapshot, view, style) + '\n' + thread_table(snapshot, view, style) + '\n' +
         stacks(snapshot, view, style);
}

}  // namespace

std::string report_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  return warnings(snapshot, style) + process_line(snapshot, style) + time_line(snapshot, view, style) +
         sampling_line(snapshot, style) + limit_text(view, style) + '\n' +
         (snapshot.heap_traced ? heap_text(snapshot, view, style) + '\n' : "") +
         (view.faults ? fault_text(snapshot, view, style) + '\n' : "") +
         (view.balance ? balance_text(snapshot, *view.balance, style) + '\n' : "") +
         mapped_text(snapshot, view, style) + (snapshot.heap_traced ? accounting_text(snapshot, view, style) : "");
}

}  // namespace alloctrail
