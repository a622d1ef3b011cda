// SPDX-License-Identifier: Apache-2.0
// The stack table of the text report.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "user/analysis/shown_frames.h"
#include "user/output/function_name.h"
#include "user/output/report_text_parts.h"
#include "user/output/units.h"

namespace alloctrail {
namespace {

constexpr size_t kFrameIndent = 6;
constexpr size_t kGap = 3;
constexpr size_t kMostFunctionColumns = 60;  // where the screen sets no limit
constexpr size_t kMostFrames = 40;           // unless all frames were asked for

constexpr std::array<const char*, AT_STACK_STATUS_COUNT> kStatusSentences = {{
#define ALLOCTRAIL_STATUS_SENTENCE(name, sentence) sentence,
    AT_STACK_STATUSES(ALLOCTRAIL_STATUS_SENTENCE)
#undef ALLOCTRAIL_STATUS_SENTENCE
}};

const char* status_sentence(at_stack_status status) {
  return status < AT_STACK_STATUS_COUNT ? kStatusSentences[status] : "unknown stack status";
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string function_text(const Frame& frame, FrameChoice choice) {
  const std::string name = frame.function.empty()          ? fmt::format("{:#x}", raw(frame.address))
                           : choice == FrameChoice::All ? frame.function
                                                        : short_function_name(frame.function);
  return frame.inlined ? name + " (inlined)" : name;
}

std::string location_text(const Frame& frame) {
  if (!frame.file.empty()) return frame.line == 0 ? frame.file : fmt::format("{}:{}", frame.file, frame.line);
  if (frame.module.empty()) return "[anonymous memory]";
  return fmt::format("{}+{:#x}", base_name(frame.module), frame.module_offset);
}

// A path in `columns`: cut from its front, at a directory if one is left.
std::string fit_path(const std::string& path, size_t columns, Charset charset) {
  const std::string tail = fit(path, columns, Cut::Start, charset);
  const size_t slash = tail.find('/');
  if (tail == path || slash == std::string::npos) return tail;
  return std::string(ellipsis(charset)) + tail.substr(slash);
}

// The source line matters most: a long path gives way from its front, then the function from its end.
class FrameLines {
 public:
  FrameLines(const Stack& stack, const std::vector<uint32_t>& shown, FrameChoice choice, const TextStyle& style)
      : style_(style) {
    size_t longest_function = 0;
    size_t longest_location = 0;
    for (const uint32_t i : shown) {
      functions_.push_back(terminal_text(function_text(stack.frames[i], choice), style.charset));
      locations_.push_back(terminal_text(location_text(stack.frames[i]), style.charset));
      longest_function = std::max(longest_function, display_width(functions_.back()));
      longest_location = std::max(longest_location, display_width(locations_.back()));
    }
    column_ = std::min(longest_function, most_function_columns(longest_location));
  }

  std::string str() const {
    std::string text;
    for (size_t i = 0; i < functions_.size(); ++i) text += line(functions_[i], locations_[i]);
    return text;
  }

 private:
  std::string line(const std::string& function, const std::string& location) const {
    TextLine line(style_);
    line.add_spaces(kFrameIndent);
    const size_t room = line.room() > column_ + kGap ? line.room() - column_ - kGap : 0;
    const std::string place = fit_path(location, room, style_.charset);
    const size_t left = line.room() > kGap + display_width(place) ? line.room() - kGap - display_width(place) : 0;
    const size_t function_room = place == location ? left : std::min(left, column_);
    const std::string name = fit(function, function_room, Cut::End, style_.charset);
    line.add(name, Look::Plain);
    line.add_spaces(column_ > display_width(name) ? column_ - display_width(name) + kGap : kGap);
    return line.add(place, Look::Faint).str();
  }

  // Half of the screen, or more where the locations leave it.
  size_t most_function_columns(size_t longest_location) const {
    if (style_.width == 0) return kMostFunctionColumns;
    const size_t room = style_.width > kFrameIndent + kGap ? style_.width - kFrameIndent - kGap : 0;
    return std::max(room / 2, room > longest_location ? room - longest_location : 0);
  }

  TextStyle style_;
  std::vector<std::string> functions_;
  std::vector<std::string> locations_;
  size_t column_ = 0;
};

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
  line.add(fmt::format(" in {} block{}  {}", format_count(held.blocks), held.blocks == 1 ? "" : "s",
                       format_share(figures.share)));
  if (figures.change)
    line.add("  " + (figures.change->bytes == 0 ? "unchanged" : change_text(figures.change->bytes, style)));
  return line.add("  ").add(holder_text(row, snapshot), Look::Strong).str();
}

}  // namespace

std::string frames_text(const Stack& stack, FrameChoice choice, const TextStyle& style) {
  std::vector<uint32_t> shown = shown_frames(stack, choice);
  const size_t available = shown.size();
  if (choice == FrameChoice::Callers) shown.resize(std::min(available, kMostFrames));
  std::string text = FrameLines(stack, shown, choice, style).str();
  const auto note = [&](const std::string& words) {
    TextLine line(style);
    line.add_spaces(kFrameIndent);
    text += line.add(words, Look::Faint).str();
  };
  if (shown.size() < available)
    note(fmt::format("({} more frames; --full-stacks shows them)", available - shown.size()));
  const bool expected = stack.status == AT_STACK_complete || stack.status == AT_STACK_frame_pointers;
  if (!expected) note(fmt::format("(the stack ends here: {})", status_sentence(stack.status)));
  if (expected && stack.frames.empty()) note("(no frames)");
  return text;
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
