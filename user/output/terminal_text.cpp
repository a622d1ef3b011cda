// SPDX-License-Identifier: Apache-2.0
#include "user/output/terminal_text.h"

#include <cstdint>
#include <optional>

#include "user/output/character_width.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxCombiningRun = 4;
constexpr char32_t kReplacement = 0xfffd;

struct Decoded {
  char32_t character;
  size_t length;
};

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

// One well-formed character (Unicode table 3-7: no overlong forms, no surrogates), or nothing.
std::optional<Decoded> decode(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return Decoded{lead, 1};
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return std::nullopt;
  char32_t character = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[i])) return std::nullopt;
    character = character << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
  }
  static constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = character >= 0xd800 && character <= 0xdfff;
  if (character < kSmallest[length] || surrogate || character > 0x10ffff) return std::nullopt;
  return Decoded{character, length};
}

// Characters that move the cursor, reorder the line or cannot be seen.
bool is_unsafe(char32_t c) {
  if (c < 0x20 || (c >= 0x7f && c <= 0x9f)) return true;
  if (c < 0x61c) return false;
  if (c >= 0xfdd0 && c <= 0xfdef) return true;
  if ((c & 0xfffe) == 0xfffe) return true;
  return c == 0x61c || c == 0x180e || c == 0x200b || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
         (c >= 0x1d173 && c <= 0x1d17a) || (c >= 0xe0000 && c <= 0xe0fff);
}

const char* replacement(Charset charset) {
  return charset == Charset::Utf8 ? "\xef\xbf\xbd" : "?";
}

// Byte position from which the rest fits; never at a mark that has lost its character.
size_t suffix_start(std::string_view text, size_t columns) {
  size_t used = 0;
  size_t start = text.size();
  size_t at = text.size();
  while (at > 0) {
    size_t first = at - 1;
    while (first > 0 && at - first < 4 && is_continuation(text[first])) --first;
    const Decoded one = decode(text.substr(first, at - first)).value_or(Decoded{kReplacement, 1});
    const auto width = static_cast<size_t>(character_width(one.character));
    if (used + width > columns) break;
    used += width;
    at = first;
    if (width > 0) start = at;
  }
  return start;
}

}  // namespace

std::string terminal_text(std::string_view raw, Charset charset) {
  std::string result;
  result.reserve(raw.size());
  size_t combining = kMaxCombiningRun;  // a mark at the very start has nothing to combine with
  for (size_t at = 0; at < raw.size();) {
    const std::optional<Decoded> next = decode(raw.substr(at));
    const size_t length = next ? next->length : 1;
    if (!next || (is_unsafe(next->character) && next->character != '\t') ||
        (charset == Charset::Ascii && next->character >= 0x80)) {
      result += replacement(charset);
      combining = 0;
    } else if (next->character == '\t') {
      result += ' ';
      combining = 0;
    } else if (character_width(next->character) > 0) {
      result += raw.substr(at, length);
      combining = 0;
    } else if (combining < kMaxCombiningRun) {
      result += raw.substr(at, length);
      ++combining;
    }
    at += length;
  }
  return result;
}

size_t display_width(std::string_view text) {
  size_t columns = 0;
  for (size_t at = 0; at < text.size();) {
    const Decoded next = decode(text.substr(at)).value_or(Decoded{kReplacement, 1});
    columns += static_cast<size_t>(character_width(next.character));
    at += next.length;
  }
  return columns;
}

std::string_view ellipsis(Charset charset) {
  return charset == Charset::Utf8 ? "\xe2\x80\xa6" : "...";
}

std::string_view beginning(std::string_view text, size_t columns) {
  size_t used = 0;
  size_t at = 0;
  while (at < text.size()) {
    const Decoded next = decode(text.substr(at)).value_or(Decoded{kReplacement, 1});
    const auto width = static_cast<size_t>(character_width(next.character));
    if (used + width > columns) break;
    used += width;
    at += next.length;
  }
  return text.substr(0, at);
}

std::string fit(std::string_view text, size_t columns, Cut cut, Charset charset) {
  if (display_width(text) <= columns) return std::string(text);
  const std::string mark(ellipsis(charset));
  const size_t mark_width = display_width(mark);
  if (columns <= mark_width) return std::string(columns, '.');
  const size_t room = columns - mark_width;
  if (cut == Cut::End) return std::string(beginning(text, room)) + mark;
  return mark + std::string(text.substr(suffix_start(text, room)));
}

}  // namespace alloctrail
