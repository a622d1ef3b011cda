// SPDX-License-Identifier: Apache-2.0
// Lines of a text report: pieces with a look, made safe for terminals as they are added, measured in columns, painted
// at the end. Colour is added after cutting, so it never counts and never dangles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "user/output/terminal_text.h"

namespace alloctrail {

/// How a piece of text looks where colours are on. The words alone carry the meaning.
enum class Look { Plain, Heading, Strong, Faint, Warning, Loss };

enum class Color { Off, On };

/// How text is rendered.
struct TextStyle {
  size_t width = 0;  ///< columns to cut to; 0: no cutting, the output is not a terminal
  Color color = Color::Off;
  Charset charset = Charset::Utf8;
};

class TextLine {
 public:
  explicit TextLine(const TextStyle& style) : style_(style) {}

  /// Adds text of any origin.
  TextLine& add(std::string_view text, Look look = Look::Plain);
  TextLine& add_spaces(size_t count);

  [[nodiscard]] size_t width() const { return width_; }
  /// Columns left before the cut; a large number without one.
  [[nodiscard]] size_t room() const;

  /// The line, cut, painted, without trailing spaces, with its newline.
  [[nodiscard]] std::string str() const;

 private:
  struct Piece {
    std::string text;
    Look look;
  };
  void cut(std::vector<Piece>& pieces) const;

  TextStyle style_;
  std::vector<Piece> pieces_;
  size_t width_ = 0;
};

/// Text that must not be cut: broken at spaces into lines of the style's width, all but the first indented.
[[nodiscard]] std::string wrapped(std::string_view text, size_t indent, Look look, const TextStyle& style);
/// The same, broken only between the given pieces.
[[nodiscard]] std::string wrapped(const std::vector<std::string>& pieces, size_t indent, Look look,
                                  const TextStyle& style);

}  // namespace alloctrail
