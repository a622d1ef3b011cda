// SPDX-License-Identifier: Apache-2.0
#include "user/output/mapped_text.h"

#include <fmt/format.h>

#include "user/output/report_text_parts.h"
#include "user/output/text_table.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

const char* words_for(RangeKind kind) {
  switch (kind) {
    case RangeKind::Anonymous: return "anonymous";
    case RangeKind::Reserved: return "reserved, without access";
    case RangeKind::Allocator: return "allocator";
    case RangeKind::ThreadStack: return "thread stacks";
    case RangeKind::MainStack: return "main stack";
    case RangeKind::File: return "files";
    case RangeKind::Shared: return "shared memory";
    case RangeKind::Special: return "vdso and the like";
  }
  return "";
}

std::string heading(const MappedView& view, const ReportStyle& style) {
  std::string title = fmt::format("MAPPED ADDRESS SPACE, {} in {} ranges", bytes_text(view.all.bytes, style),
                                  format_count(view.all.ranges));
  if (view.all.reserved_bytes != 0)
    title += fmt::format("; {} of it without access: no memory", bytes_text(view.all.reserved_bytes, style));
  return TextLine(style.text).add(title, Look::Heading).str();
}

std::string kind_table(const MappedView& view, const ReportStyle& style) {
  TextTable table({{"", Align::Left, Look::Plain, 10}, {"BYTES"}, {"RANGES"}, {"RESIDENT"}, {"SINCE THE ATTACH"}, {"RANGES"},
                   {"RESIDENT"}});
  const auto resident = [&](uint64_t bytes) { return view.with_resident ? bytes_text(bytes, style) : "-"; };
  for (const MappedKindRow& row : view.kinds) {
    const bool any = row.since.ranges != 0;
    table.add_row({words_for(row.kind), bytes_text(row.all.bytes, style), format_count(row.all.ranges),
                   resident(row.resident_bytes), any ? bytes_text(row.since.bytes, style) : "",
                   any ? format_count(row.since.ranges) : "", any ? resident(row.resident_since_bytes) : ""});
  }
  return table.str(style.text);
}

std::string row_text(size_t rank, const MappedRow& shown, const Snapshot& snapshot, const ReportView& view,
                     const ReportStyle& style) {
  const MappingRow& row = snapshot.mapped->rows[shown.row];
  TextLine line(style.text);
  line.add(fmt::format("{:>3}. ", rank)).add_spaces(1);
  line.add(bytes_text(row.standing.bytes, style), Look::Heading);
  line.add(fmt::format(" in {} range{}  {}  ", format_count(row.standing.ranges), row.standing.ranges == 1 ? "" : "s",
                       words_for(shown.kind)));
  if (row.resident_bytes)
    line.add(fmt::format("{}{} resident  ", row.resident_estimated ? "~" : "", bytes_text(*row.resident_bytes, style)));
  line.add(fmt::format("{} ({})", row.thread, raw(row.tid)), Look::Strong);
  if (!row.path.empty()) line.add("  " + row.path);
  return line.str() + frames_text(snapshot.stacks[*row.stack], view.frames, style.text);
}

/// Who mapped what of it stands.
std::string stacks_text(const Snapshot& snapshot, const ReportView& view, const MappedView& mapped, size_t most,
                        const ReportStyle& style) {
  std::string text;
  size_t shown = 0, left_out = 0;
  uint64_t left_out_bytes = 0;
  for (const MappedRow& row : mapped.rows) {
    const MappingRow& standing = snapshot.mapped->rows[row.row];
    if (standing.origin != RangeOrigin::Call) break;
    if (shown < most) {
      text += row_text(++shown, row, snapshot, view, style);
    } else {
      ++left_out;
      left_out_bytes += standing.standing.bytes;
    }
  }
  if (left_out != 0)
    text += TextLine(style.text)
                .add(fmt::format("{} {} more with {}", ellipsis(style.text.charset), format_count(left_out),
                                 bytes_text(left_out_bytes, style)),
                     Look::Faint)
                .str();
  return text;
}

std::vector<std::string> flow_sentence(const Mapped& mapped, const MappedView& view, const ReportStyle& style) {
  const at_range_calls& calls = mapped.calls;
  std::vector<std::string> pieces = {
      fmt::format("mapped since the attach {}", bytes_text(mapped.mapped_bytes, style)),
      fmt::format("= standing {}", bytes_text(view.since.bytes, style)),
      fmt::format("+ unmapped {};", bytes_text(mapped.unmapped_bytes, style))};
  if (mapped.given_back_bytes != 0)
    pieces.push_back(fmt::format("given back by madvise {};", bytes_text(mapped.given_back_bytes, style)));
  const uint64_t all = calls.recorded + calls.without_effect + calls.failed + calls.lost;
  pieces.push_back(fmt::format("system calls {}", format_count(all)));
  pieces.push_back(fmt::format("= recorded {}", format_count(calls.recorded)));
  pieces.push_back(fmt::format("+ without effect {}", format_count(calls.without_effect)));
  pieces.push_back(fmt::format("+ failed {}", format_count(calls.failed)));
  pieces.push_back(fmt::format("+ lost {}", format_count(calls.lost)));
  return pieces;
}

std::string check_sentence(const MappedCheck& check, const ReportStyle& style) {
  if (!check.done) return "not compared with /proc/PID/maps, which could not be read";
  std::string text;
  if (check.missing_bytes + check.excess_bytes + check.access_bytes == 0) {
    text = "equal to /proc/PID/maps";
  } else {
    text = fmt::format("DIFFERS from /proc/PID/maps and was put right: {} were mapped and unknown, {} known and not mapped",
                       bytes_text(check.missing_bytes, style), bytes_text(check.excess_bytes, style));
    if (check.access_bytes != 0) text += fmt::format(", {} of other access", bytes_text(check.access_bytes, style));
  }
  if (check.looked_up_bytes != 0)
    text += fmt::format("; {} were taken over from it", bytes_text(check.looked_up_bytes, style));
  return text;
}

std::string losses(const Mapped& mapped, const MappedView& view, const ReportStyle& style) {
  std::string text;
  const auto loss = [&](const std::string& sentence) { text += wrapped(sentence, 2, Look::Loss, style.text); };
  if (mapped.calls.lost != 0)
    loss(fmt::format("LOST {} records of system calls: made anew from /proc/PID/maps, who mapped it is not known",
                     format_count(mapped.calls.lost)));
  if (mapped.misses != 0)
    loss(fmt::format("LOST {} system calls that the kernel did not deliver", format_count(mapped.misses)));
  if (!view.balanced) loss("NOT BALANCED: mapped, standing and unmapped do not add up");
  return text;
}

}  // namespace

std::string mapped_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  if (!view.mapped) return "";
  const Mapped& mapped = *snapshot.mapped;
  const MappedCheck& check = mapped.check;
  const bool differs = check.missing_bytes + check.excess_bytes + check.access_bytes != 0;
  return heading(*view.mapped, style) + kind_table(*view.mapped, style) +
         stacks_text(snapshot, view, *view.mapped, view.top.value_or(SIZE_MAX), style) +
         wrapped(flow_sentence(mapped, *view.mapped, style), 2, Look::Plain, style.text) +
         wrapped(check_sentence(check, style), 2, differs ? Look::Warning : Look::Plain, style.text) +
         losses(mapped, *view.mapped, style) + '\n';
}

}  // namespace alloctrail
