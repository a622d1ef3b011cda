// SPDX-License-Identifier: Apache-2.0
#include "user/output/terminal_text.h"

#include <gtest/gtest.h>

#include <random>

#include "user/output/character_width.h"
#include "user/output/text_line.h"

namespace alloctrail {
namespace {

#define REPLACED "\xef\xbf\xbd"
#define ELLIPSIS "\xe2\x80\xa6"

std::string safe(std::string_view raw) {
  return terminal_text(raw, Charset::Utf8);
}

TEST(TerminalText, PrintableTextIsKept) {
  EXPECT_EQ(safe("worker-1 \xc3\xa4 \xe6\xbc\xa2 \xf0\x9f\x98\x80"), "worker-1 \xc3\xa4 \xe6\xbc\xa2 \xf0\x9f\x98\x80");
}

TEST(TerminalText, ControlCharactersNeverReachTheTerminal) {
  EXPECT_EQ(safe("a\x1b[31mb"), "a" REPLACED "[31mb");
  EXPECT_EQ(safe(std::string("\0\n\r\x07\x7f", 5)), REPLACED REPLACED REPLACED REPLACED REPLACED);
  EXPECT_EQ(safe("\xc2\x9b"
                 "31m"),
            REPLACED "31m");  // C1: CSI in one character
  EXPECT_EQ(safe("a\tb"), "a b");
}

TEST(TerminalText, CharactersThatReorderOrHideTextAreReplaced) {
  for (const char* hidden :
       {"\xe2\x80\xaa", "\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x81\xa9", "\xe2\x80\xa8", "\xe2\x80\x8b", "\xe2\x80\x8f",
        "\xef\xbb\xbf", "\xd8\x9c", "\xf3\xa0\x80\x81", "\xef\xbf\xbf"}) {
    EXPECT_EQ(safe(hidden), REPLACED) << display_width(hidden);
  }
}

TEST(TerminalText, EachByteOfBrokenUtf8BecomesOneReplacement) {
  EXPECT_EQ(safe("a\xff"
                 "b"),
            "a" REPLACED "b");
  EXPECT_EQ(safe("\xe6\xbc"), REPLACED REPLACED);                            // cut short
  EXPECT_EQ(safe("\xc0\xaf"), REPLACED REPLACED);                            // overlong
  EXPECT_EQ(safe("\xed\xa0\x80"), REPLACED REPLACED REPLACED);               // surrogate
  EXPECT_EQ(safe("\xf4\x90\x80\x80"), REPLACED REPLACED REPLACED REPLACED);  // beyond U+10FFFF
}

TEST(TerminalText, AsciiTerminalsGetQuestionMarks) {
  EXPECT_EQ(terminal_text("\xc3\xa4-\xff-\x1b", Charset::Ascii), "?-?-?");
  EXPECT_EQ(fit("abcdefgh", 6, Cut::End, Charset::Ascii), "abc...");
}

TEST(TerminalText, CombiningMarksDoNotPileUp) {
  std::string many = "e";
  for (int i = 0; i < 100; ++i) many += "\xcc\x81";
  EXPECT_EQ(safe(many), "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81");
  EXPECT_EQ(safe("\xcc\x81x"), "x");
}

TEST(TerminalText, WidthCountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("\xc3\xa4"), 1u);
  EXPECT_EQ(display_width("e\xcc\x81"), 1u);
  EXPECT_EQ(display_width("\xe6\xbc\xa2\xe5\xad\x97"), 4u);
  EXPECT_EQ(display_width("\xf0\x9f\x98\x80"), 2u);
  EXPECT_EQ(character_width(0x2588), 1);
  EXPECT_EQ(character_width(0x3042), 2);
  EXPECT_EQ(character_width(0x0301), 0);
  EXPECT_EQ(character_width(0x10ffff), 1);
}

TEST(TerminalText, CutsNeverSplitACharacter) {
  const std::string wide = "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2";  // 6 columns
  EXPECT_EQ(fit(wide, 6, Cut::End, Charset::Utf8), wide);
  EXPECT_EQ(fit(wide, 5, Cut::End, Charset::Utf8), "\xe6\xbc\xa2\xe5\xad\x97" ELLIPSIS);
  EXPECT_EQ(fit(wide, 4, Cut::End, Charset::Utf8), "\xe6\xbc\xa2" ELLIPSIS);
  EXPECT_EQ(fit(wide, 4, Cut::Start, Charset::Utf8), ELLIPSIS "\xe6\xbc\xa2");
  EXPECT_EQ(fit("abcdef", 4, Cut::Start, Charset::Utf8), ELLIPSIS "def");
  EXPECT_EQ(fit("abcdef", 1, Cut::End, Charset::Utf8), ".");
  EXPECT_EQ(fit("abcdef", 0, Cut::End, Charset::Utf8), "");
  EXPECT_EQ(fit("xe\xcc\x81", 1, Cut::End, Charset::Utf8), ".");
  EXPECT_EQ(fit("abcxe\xcc\x81", 3, Cut::Start, Charset::Utf8), ELLIPSIS "xe\xcc\x81");
}

TEST(TerminalText, RandomBytesBecomeSafeTextThatIsItsOwnSafeForm) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 24, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 == 0 ? 0x80 + random() % 128 : random() % 256);
    const std::string once = safe(bytes);
    EXPECT_EQ(safe(once), once);
    EXPECT_EQ(once.find('\x1b'), std::string::npos);
    const size_t columns = random() % 20;
    EXPECT_LE(display_width(fit(once, columns, Cut::End, Charset::Utf8)), columns);
    EXPECT_LE(display_width(fit(once, columns, Cut::Start, Charset::Utf8)), columns);
    EXPECT_EQ(safe(fit(once, columns, Cut::Start, Charset::Utf8)), fit(once, columns, Cut::Start, Charset::Utf8));
  }
}

TEST(TextLine, CuttingComesBeforeColour) {
  const TextStyle style{6, Color::On, Charset::Utf8};
  TextLine line(style);
  line.add("abcd", Look::Heading).add("efgh", Look::Loss);
  EXPECT_EQ(line.str(), "\x1b[1mabcd\x1b[0m\x1b[1;31me" ELLIPSIS "\x1b[0m\n");
}

TEST(TextLine, EscapesInAddedTextAreDisarmed) {
  TextLine line(TextStyle{});
  line.add("x\x1b[2J  ");
  EXPECT_EQ(line.str(), "x" REPLACED "[2J\n");
}

TEST(TextLine, WrappedTextIsNeverCut) {
  const TextStyle style{10, Color::Off, Charset::Utf8};
  EXPECT_EQ(wrapped("WARNING: nothing was hooked", 2, Look::Warning, style), "WARNING:\n  nothing\n  was\n  hooked\n");
  EXPECT_EQ(wrapped(std::vector<std::string>{"a b c", "d e f g"}, 2, Look::Plain, style), "a b c\n  d e f g\n");
  EXPECT_EQ(wrapped("any  length   at all", 2, Look::Plain, TextStyle{}), "any length at all\n");
}

}  // namespace
}  // namespace alloctrail
