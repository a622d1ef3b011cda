// SPDX-License-Identifier: Apache-2.0
#include "user/output/balance_text.h"

#include <fmt/format.h>

#include <cmath>

#include "user/output/report_text_parts.h"
#include "user/output/text_table.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

const char* words_for(BalancePart part) {
  switch (part) {
    case BalancePart::LiveBlocks:
      return "blocks outstanding since the attach";
    case BalancePart::AllocatorOther:
      return "allocator: rounding, free but kept, older blocks";
    case BalancePart::ThreadStacks:
      return "thread stacks";
    case BalancePart::MainStack:
      return "main stack";
    case BalancePart::OtherAnonymous:
      return "other anonymous maps";
    case BalancePart::File:
      return "files: code, data, mapped";
    case BalancePart::Shared:
      return "shared memory";
    case BalancePart::Special:
      return "vdso";
  }
  return "";
}

std::string status_line(const MemoryStatus& memory, const ReportStyle& style) {
  const auto figure = [&](const char* name, uint64_t bytes) {
    return fmt::format("{} {}", name, bytes_text(bytes, style));
  };
  return wrapped({figure("VmSize", memory.vm_size_bytes), "   " + figure("VmData", memory.vm_data_bytes),
                  "   " + figure("VmStk", memory.vm_stk_bytes), "   " + figure("VmExe", memory.vm_exe_bytes),
                  "   " + figure("VmLib", memory.vm_lib_bytes), "   " + figure("VmPTE", memory.vm_pte_bytes),
                  "   " + figure("VmSwap", memory.vm_swap_bytes), "   (alloctrail explain FIELD)"},
                 2, Look::Faint, style.text);
}

}  // namespace

std::string balance_text(const Snapshot& snapshot, const Balance& balance, const ReportStyle& style) {
  std::string title = "RESIDENT MEMORY, " + bytes_text(balance.rss_bytes, style);
  if (balance.age > std::chrono::seconds(1)) title += fmt::format(", as of {} ago", format_duration(balance.age));
  TextTable table({{"", Align::Left, Look::Plain, 16}, {"BYTES"}, {"SHARE"}});
  for (const BalanceLine& line : balance.lines)
    if (line.bytes != 0)
      table.add_row({words_for(line.part), (line.estimated ? "~" : "") + bytes_text(line.bytes, style),
                     format_share(line.share)});
  table.add_row(
      {"unexplained", change_text(balance.unexplained_bytes, style), format_share(1 - balance.explained_share)});
  std::string text = TextLine(style.text).add(title, Look::Heading).str() + table.str(style.text);
  if (balance.reserved_bytes != 0)
    text += TextLine(style.text)
                .add(fmt::format("besides, {} of address space are reserved: no memory",
                                 bytes_text(balance.reserved_bytes, style)),
                     Look::Faint)
                .str();
  return text + status_line(snapshot.process.memory, style);
}

}  // namespace alloctrail
