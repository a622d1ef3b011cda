// SPDX-License-Identifier: Apache-2.0
// The stack table of the text report.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "user/analysis/shown_frames.h"
#include "user/analysis/site_name.h"
#include "user/output/frame_text.h"
#include "user/output/report_text_parts.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

constexpr const char* kFrameLead = "      ";
constexpr size_t kLeastNameColumns = 8;      // where less is left, the heading goes without the site's name
constexpr size_t kMostFrames = 40;           // unless all frames were asked for

constexpr std::array<const char*, AT_STACK_STATUS_COUNT> kStatusSentences = {{
#define ALLOCTRAIL_STATUS_SENTENCE(name, sentence) sentence,
    AT_STACK_STATUSES(ALLOCTRAIL_STATUS_SENTENCE)
#undef ALLOCTRAIL_STATUS_SENTENCE
}};

std::string holder_text(const StackRow& row, const Snapshot& snapshot) {
  const Thread& thread = snapshot.threads[row.top_holder];
  const std::string name = fmt::format("{} ({})", thread.name, raw(thread.tid));
  return row.holders == 1 ? name : fmt::format("{} and {} more", name, format_count(row.holders - 1));
}

std::string heading_line(size_t rank, const StackRow& row, const Snapshot& snapshot, const ReportView& view,
                         const ReportStyle& style) {
  const Figures& figures = row.figures;
  const Amount held = view.ranked(figures.usage);
  TextLine line(style.text);
  line.add(fmt::format("{:>3}. ", rank)).add_spaces(1);
  line.add(bytes_text(held.bytes, style), Look::Heading);
  std::string bytes_interval;
  std::string blocks_interval;
  if (figures.intervals) {
    const bool older = view.ranking == Ranking::Older;
    const AmountInterval& interval = older ? figures.intervals->older : figures.intervals->outstanding;
    bytes_interval = fmt::format(" ({})", bytes_interval_text(interval.bytes, held.bytes, style));
    blocks_interval = fmt::format(" ({})", blocks_interval_text(interval.blocks, held.blocks));
  }
  line.add(fmt::format("{} in {} block{}{}  {}", bytes_interval, format_count(held.blocks),
                       held.blocks == 1 ? "" : "s", blocks_interval, format_share(figures.share)));
  if (figures.change)
    line.add("  " + (figures.change->bytes == 0 ? "unchanged" : change_text(figures.change->bytes, style)));
  line.add("  ").add(holder_text(row, snapshot), Look::Strong);
  const Stack& stack = snapshot.stacks[row.stack];
  const auto naming = naming_frame(stack);
  if (!naming || line.room() < kLeastNameColumns + 2) return line.str();
  const std::string name = terminal_text(site_name_text(stack.frames[*naming]), style.text.charset);
  line.add("  ").add(fit(name, line.room() - 2, Cut::End, style.text.charset), Look::Heading);
  return line.str();
}

}  // namespace

const char* status_sentence(at_stack_status status) {
  return status < AT_STACK_STATUS_COUNT ? kStatusSentences[status] : "unknown stack status";
}

bool is_expected(at_stack_status status) {
  return status == AT_STACK_complete || status == AT_STACK_frame_pointers;
}

std::string frames_text(const Stack& stack, FrameChoice choice, const TextStyle& style) {
  std::vector<uint32_t> shown = shown_frames(stack, choice);
  const size_t available = shown.size();
  if (choice == FrameChoice::Callers) shown.resize(std::min(available, kMostFrames));
  std::vector<FrameLine> lines;
  for (const uint32_t i : shown) lines.push_back({kFrameLead, &stack.frames[i], ""});
  const auto note = [&](std::string words) { lines.push_back({kFrameLead, nullptr, std::move(words)}); };
  if (shown.size() < available) note(fmt::format("({} more frames; --full-stacks shows them)", available - shown.size()));
  if (!is_expected(stack.status)) note(fmt::format("(the stack ends here: {})", status_sentence(stack.status)));
  if (is_expected(stack.status) && stack.frames.empty()) note("(no frames)");
  return frame_lines(lines, choice, style);
}

std::string stack_table_text(const Snapshot& snapshot, const ReportView& view, const ReportStyle& style) {
  std::string text = TextLine(style.text).add("STACKS by " + ranked_words(snapshot, view), Look::Heading).str();
  if (view.stacks.rows.empty()) return text + "nothing is outstanding\n";
  bool by_frame_pointers = false;
  for (size_t i = 0; i < view.stacks.rows.size(); ++i) {
    const StackRow& row = view.stacks.rows[i];
    const Stack& stack = snapshot.stacks[row.stack];
    text += heading_line(i + 1, row, snapshot, view, style) + frames_text(stack, view.frames, style.text);
    by_frame_pointers |= stack.status == AT_STACK_frame_pointers;
  }
  if (by_frame_pointers) {
    text += wrapped(fmt::format("stacks {}", status_sentence(AT_STACK_frame_pointers)), 0, Look::Faint, style.text);
  }
  return text;
}

}  // namespace alloctrail
