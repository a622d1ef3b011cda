// SPDX-License-Identifier: Apache-2.0
#include "user/output/text_line.h"

#include <algorithm>
#include <limits>

namespace alloctrail {
namespace {

constexpr const char* kReset = "\x1b[0m";

const char* escape_code(Look look) {
  switch (look) {
    case Look::Plain:
      break;
    case Look::Heading:
      return "\x1b[1m";
    case Look::Strong:
      return "\x1b[1;36m";
    case Look::Faint:
      return "\x1b[2m";
    case Look::Warning:
      return "\x1b[1;33m";
    case Look::Loss:
      return "\x1b[1;31m";
  }
  return "";
}

std::string painted(const std::string& text, Look look, Color color) {
  if (color == Color::Off || look == Look::Plain || text.empty()) return text;
  return escape_code(look) + text + kReset;
}

void drop_trailing_spaces(std::string& text) {
  text.erase(text.find_last_not_of(' ') + 1);
}

}  // namespace

TextLine& TextLine::add(std::string_view text, Look look) {
  std::string safe = terminal_text(text, style_.charset);
  width_ += display_width(safe);
  pieces_.push_back({std::move(safe), look});
  return *this;
}

TextLine& TextLine::add_spaces(size_t count) {
  return add(std::string(count, ' '));
}

size_t TextLine::room() const {
  if (style_.width == 0) return std::numeric_limits<size_t>::max() / 2;
  return style_.width > width_ ? style_.width - width_ : 0;
}

std::string TextLine::str() const {
  std::vector<Piece> pieces = pieces_;
  if (style_.width != 0 && width_ > style_.width) cut(pieces);
  while (!pieces.empty()) {
    drop_trailing_spaces(pieces.back().text);
    if (!pieces.back().text.empty()) break;
    pieces.pop_back();
  }
  std::string line;
  for (const Piece& piece : pieces) line += painted(piece.text, piece.look, style_.color);
  return line + '\n';
}

void TextLine::cut(std::vector<Piece>& pieces) const {
  const std::string_view mark = ellipsis(style_.charset);
  const size_t mark_width = display_width(mark);
  size_t room = style_.width > mark_width ? style_.width - mark_width : 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const size_t columns = display_width(pieces[i].text);
    if (columns > room) {
      pieces[i].text = std::string(beginning(pieces[i].text, room)).append(mark);
      pieces.resize(i + 1);
      return;
    }
    room -= columns;
  }
}

std::string wrapped(std::string_view text, size_t indent, Look look, const TextStyle& style) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t space = std::min(text.find(' ', at), text.size());
    if (space > at) words.emplace_back(text.substr(at, space - at));
    at = space + 1;
  }
  return wrapped(words, indent, look, style);
}

std::string wrapped(const std::vector<std::string>& pieces, size_t indent, Look look, const TextStyle& style) {
  const size_t width = style.width == 0 ? std::numeric_limits<size_t>::max() : style.width;
  std::string result;
  std::string line;
  size_t used = 0;
  for (const std::string& word : pieces) {
    const std::string safe = terminal_text(word, style.charset);
    const size_t columns = display_width(safe);
    if (!line.empty() && used + 1 + columns > width) {
      result += painted(line, look, style.color) + '\n' + std::string(indent, ' ');
      line.clear();
      used = indent;
    }
    if (!line.empty()) line += ' ';
    used += columns + (line.empty() ? 0 : 1);
    line += safe;
  }
  return result + painted(line, look, style.color) + '\n';
}

}  // namespace alloctrail
