// SPDX-License-Identifier: Apache-2.0
// Makes any bytes safe and measurable on a terminal: names come from the target and may hold escape sequences, broken
// UTF-8 or characters that reorder the line. Everything printed for people passes through here.
#pragma once

#include <string>
#include <string_view>

namespace alloctrail {

/// What the terminal can show.
enum class Charset { Utf8, Ascii };

/// The same text with one replacement character (U+FFFD, or '?' in ASCII) for each byte of broken UTF-8, control
/// character (C0, DEL, C1), line separator, direction control and invisible format character; tabs become spaces. The
/// result is valid UTF-8 on one line. Combining marks beyond a few in a row are dropped.
[[nodiscard]] std::string terminal_text(std::string_view raw, Charset charset);

/// Columns that the result of terminal_text() takes.
[[nodiscard]] size_t display_width(std::string_view text);

/// What stands where something was cut.
[[nodiscard]] std::string_view ellipsis(Charset charset);

/// The longest beginning of a result of terminal_text() that takes at most `columns`.
[[nodiscard]] std::string_view beginning(std::string_view text, size_t columns);

/// Which end of a text that does not fit is the dispensable one.
enum class Cut { End, Start };

/// `text` (a result of terminal_text()) in at most `columns` columns; where something was cut stands an ellipsis.
[[nodiscard]] std::string fit(std::string_view text, size_t columns, Cut cut, Charset charset);

}  // namespace alloctrail
