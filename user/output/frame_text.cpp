// SPDX-License-Identifier: Apache-2.0
#include "user/output/frame_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "user/output/function_name.h"

namespace alloctrail {
namespace {

constexpr size_t kGap = 3;
constexpr size_t kMostFunctionColumns = 60;  // where the screen sets no limit

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string module_text(const Frame& frame) {
  if (frame.module.empty()) return "[anonymous memory]";
  return fmt::format("{}+{:#x}", base_name(frame.module), frame.module_offset);
}

std::string function_text(const Frame& frame, FrameChoice choice) {
  const std::string name = frame.function.empty()          ? fmt::format("{:#x}", raw(frame.address))
                           : choice == FrameChoice::All ? frame.function
                                                        : short_function_name(frame.function);
  return frame.inlined ? name + " (inlined)" : name;
}

std::string location_text(const Frame& frame) {
  if (frame.file.empty()) return module_text(frame);
  return frame.line == 0 ? frame.file : fmt::format("{}:{}", frame.file, frame.line);
}

// A path in `columns`: cut from its front, at a directory if one is left.
std::string fit_path(const std::string& path, size_t columns, Charset charset) {
  const std::string tail = fit(path, columns, Cut::Start, charset);
  const size_t slash = tail.find('/');
  if (tail == path || slash == std::string::npos) return tail;
  return std::string(ellipsis(charset)) + tail.substr(slash);
}

class FrameLines {
 public:
  FrameLines(const std::vector<FrameLine>& lines, FrameChoice choice, const TextStyle& style)
      : lines_(lines), choice_(choice), style_(style) {
    size_t longest_name = 0;
    size_t longest_place = 0;
    std::optional<size_t> shortest_lead;
    for (const FrameLine& line : lines) {
      if (line.frame == nullptr) continue;
      longest_name = std::max(longest_name, display_width(line.lead) + display_width(name(line)));
      longest_place = std::max(longest_place, display_width(place(line)));
      const size_t lead = display_width(line.lead);
      shortest_lead = std::min(shortest_lead.value_or(lead), lead);
    }
    const size_t lead = shortest_lead.value_or(0);
    column_ = std::min(longest_name, lead + most_function_columns(lead, longest_place));
  }

  std::string str() const {
    std::string text;
    for (const FrameLine& line : lines_) text += line.frame == nullptr ? note(line) : frame(line);
    return text;
  }

 private:
  std::string name(const FrameLine& line) const {
    return terminal_text(function_text(*line.frame, choice_), style_.charset);
  }
  std::string place(const FrameLine& line) const { return terminal_text(location_text(*line.frame), style_.charset); }

  std::string note(const FrameLine& line) const {
    return TextLine(style_).add(line.lead).add(line.note, Look::Faint).str();
  }

  std::string frame(const FrameLine& of) const {
    TextLine line(style_);
    line.add(of.lead);
    const size_t column = column_ > line.width() ? column_ - line.width() : 0;
    const size_t place_room = line.room() > column + kGap ? line.room() - column - kGap : 0;
    const std::string whole_place = place(of);
    const std::string place = fit_path(whole_place, place_room, style_.charset);
    const size_t left = line.room() > kGap + display_width(place) ? line.room() - kGap - display_width(place) : 0;
    const size_t name_room = place == whole_place ? left : std::min(left, column);
    const std::string name = fit(this->name(of), name_room, Cut::End, style_.charset);
    line.add(name, Look::Plain);
    line.add_spaces(column > display_width(name) ? column - display_width(name) + kGap : kGap);
    return line.add(place, Look::Faint).str();
  }

  // Half of the screen, or more where the places leave it.
  size_t most_function_columns(size_t lead, size_t longest_place) const {
    if (style_.width == 0) return kMostFunctionColumns;
    const size_t room = style_.width > lead + kGap ? style_.width - lead - kGap : 0;
    return std::max(room / 2, room > longest_place ? room - longest_place : 0);
  }

  const std::vector<FrameLine>& lines_;
  FrameChoice choice_;
  TextStyle style_;
  size_t column_ = 0;
};

}  // namespace

std::string frame_lines(const std::vector<FrameLine>& lines, FrameChoice choice, const TextStyle& style) {
  return FrameLines(lines, choice, style).str();
}

std::string site_name_text(const Frame& frame) {
  return frame.function.empty() ? module_text(frame) : short_function_name(frame.function);
}

}  // namespace alloctrail
