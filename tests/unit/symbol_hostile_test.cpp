// SPDX-License-Identifier: Apache-2.0
// Broken and malicious files through the symbol worker: every question gets an answer, and nothing but the worker ends.
#include <dwarf.h>
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/unit/symbol_fixtures.h"
#include "user/symbols/debug_file_places.h"
#include "user/symbols/symbol_worker.h"

namespace alloctrail {
namespace {

using test::code_offsets;
using test::fixture_path;
using test::memory_file;
using test::read_file;

class HostileFiles : public testing::Test {
 protected:
  /// Every offset is answered with a bounded number of frames, or the file is given up.
  void resolve(const std::vector<char>& image, const std::vector<uint64_t>& offsets) {
    DebugFilePlaces places("");
    const UniqueFd file = memory_file(image);
    const auto answer = worker_.resolve(++files_, file.get(), places, offsets);
    if (!answer) {
      ASSERT_EQ(answer.error().kind, ErrorKind::Failed) << answer.error().message;
      // A sanitizer, or an exception that nobody has caught.
      EXPECT_EQ(answer.error().message.find("with code"), std::string::npos) << answer.error().message;
      ++given_up_;
      return;
    }
    ASSERT_EQ(answer->frames.size(), offsets.size());
    for (const std::vector<Frame>& frames : answer->frames) {
      EXPECT_LE(frames.size(), 65U);
      named_ += frames.front().function.empty() ? 0 : 1;
      lines_ += frames.front().line == 0 ? 0 : 1;
    }
  }

  SymbolWorker worker_{{.ends = SIZE_MAX}};
  uint64_t files_ = 0;
  size_t given_up_ = 0;
  size_t named_ = 0;
  size_t lines_ = 0;
};

class BrokenElf : public HostileFiles, public testing::WithParamInterface<const char*> {};

TEST_P(BrokenElf, FlippedBytesAndMissingEndsEndNothing) {
  const std::vector<char> image = read_file(fixture_path(GetParam()));
  const std::vector<uint64_t> offsets = code_offsets(image, 48);
  std::mt19937 random(42);
  for (int i = 0; i < 2500; ++i) {
    std::vector<char> broken = image;
    const int flips = 1 << random() % 6;
    for (int flip = 0; flip < flips; ++flip) broken[random() % broken.size()] = static_cast<char>(random());
    // The tables at the end decide what everything else means; every third file has them broken, too.
    if (i % 3 == 0) broken[broken.size() - 1 - random() % 2600] = static_cast<char>(random());
    if (i % 5 == 0) broken.resize(1 + random() % broken.size());
    resolve(broken, offsets);
  }
  EXPECT_GT(named_, 0U);
  fmt::print("{}: of {} broken files {} were given up\n", GetParam(), files_, given_up_);
}

INSTANTIATE_TEST_SUITE_P(Kinds, BrokenElf,
                         testing::Values("symbols_dwarf5", "symbols_dwarf4", "symbols_packed", "symbols_minidebug"),
                         [](const auto& info) { return std::string(info.param); });

// ---- DWARF bombs ---------------------------------------------------------------------------------------------------

constexpr uint64_t kCodeBytes = 4096;

void append(std::string& bytes, uint64_t value, size_t size) {
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> 8 * i));
}

std::string uleb(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

/// "code, tag, has children, (attribute, form)..., 0, 0"
std::string abbreviation(uint64_t code, uint64_t tag, bool children, std::vector<std::pair<uint64_t, uint64_t>> attributes) {
  std::string bytes = uleb(code) + uleb(tag) + (children ? '\1' : '\0');
  for (const auto& [name, form] : attributes) bytes += uleb(name) + uleb(form);
  return bytes + std::string(2, '\0');
}

const std::pair<uint64_t, uint64_t> kLow{DW_AT_low_pc, DW_FORM_addr};
const std::pair<uint64_t, uint64_t> kHigh{DW_AT_high_pc, DW_FORM_data8};

/// Of version 4: header, then `entries`.
std::string unit(const std::string& entries) {
  std::string bytes;
  append(bytes, 7 + entries.size(), 4);
  append(bytes, 4, 2);
  append(bytes, 0, 4);
  append(bytes, 8, 1);
  return bytes + entries;
}
constexpr uint64_t kFirstEntry = 11;

/// An entry with abbreviation `code` that covers all the code.
std::string covering(uint64_t code) {
  std::string bytes = uleb(code);
  append(bytes, 0, 8);
  append(bytes, kCodeBytes, 8);
  return bytes;
}

class DwarfBombs : public HostileFiles {
 protected:
  void explode(const std::string& info, const std::string& abbreviations, const std::string& lines = {}) {
    const std::vector<char> image = test::elf_image(
        kCodeBytes, {{".debug_info", info}, {".debug_abbrev", abbreviations + '\0'}, {".debug_line", lines}});
    resolve(image, {0, 100, kCodeBytes - 1});
  }
};

TEST_F(DwarfBombs, InlinedCallsWithoutEnd) {
  std::string entries = covering(1) + covering(2);
  for (int i = 0; i < 200'000; ++i) entries += covering(3);
  explode(unit(entries), abbreviation(1, DW_TAG_compile_unit, true, {kLow, kHigh}) +
                             abbreviation(2, DW_TAG_subprogram, true, {kLow, kHigh}) +
                             abbreviation(3, DW_TAG_inlined_subroutine, true, {kLow, kHigh}));
  EXPECT_EQ(given_up_, 0U);
}

TEST_F(DwarfBombs, NamespacesWithoutEnd) {
  std::string entries = covering(1);
  entries += std::string(200'000, '\2');
  explode(unit(entries), abbreviation(1, DW_TAG_compile_unit, true, {kLow, kHigh}) +
                             abbreviation(2, DW_TAG_namespace, true, {}));
  EXPECT_EQ(given_up_, 0U);
}

TEST_F(DwarfBombs, FunctionThatIsItsOwnOrigin) {
  std::string entries = covering(1);
  const uint64_t own = kFirstEntry + entries.size();
  entries += covering(2);
  append(entries, own, 4);
  explode(unit(entries + '\0'),
          abbreviation(1, DW_TAG_compile_unit, true, {kLow, kHigh}) +
              abbreviation(2, DW_TAG_subprogram, false, {kLow, kHigh, {DW_AT_abstract_origin, DW_FORM_ref4}}));
  EXPECT_EQ(given_up_, 0U);
}

TEST_F(DwarfBombs, SiblingThatLeadsBack) {
  std::string entries = covering(1);
  const uint64_t first = kFirstEntry + entries.size();
  for (int i = 0; i < 2; ++i) {
    entries += uleb(2);
    append(entries, first, 4);
  }
  explode(unit(entries + '\0'), abbreviation(1, DW_TAG_compile_unit, true, {kLow, kHigh}) +
                                    abbreviation(2, DW_TAG_namespace, true, {{DW_AT_sibling, DW_FORM_ref4}}));
  EXPECT_LE(given_up_, 1U);
}

TEST_F(DwarfBombs, AbbreviationsWithoutEnd) {
  std::string abbreviations = abbreviation(1, DW_TAG_compile_unit, true, {kLow, kHigh});
  for (uint64_t code = 2; code < 400'000; ++code) abbreviations += abbreviation(code, DW_TAG_subprogram, false, {});
  std::string entries = covering(1);
  for (uint64_t code = 399'999; code > 8; code -= 7) entries += uleb(code);
  explode(unit(entries), abbreviations);
  EXPECT_LE(given_up_, 1U);
}

TEST_F(DwarfBombs, LineTableOfMillionsOfRows) {
  std::string entries = uleb(1);
  append(entries, 0, 8);
  append(entries, kCodeBytes, 8);
  append(entries, 0, 4);
  std::string header;  // after its own length
  for (const int byte : {1, 1, 1, -5, 14, 10, 0, 1, 1, 1, 1, 0, 0, 0}) append(header, static_cast<uint64_t>(byte), 1);
  header += std::string("\0\0x\0\0\0\0\0", 8);
  std::string program = std::string("\0\11\2", 3) + std::string(8, '\0') + std::string((2 << 20) - 4096, '\22');
  std::string lines;
  append(lines, 2 + 4 + header.size() + program.size(), 4);
  append(lines, 4, 2);
  append(lines, header.size(), 4);
  explode(unit(entries), abbreviation(1, DW_TAG_compile_unit, false, {kLow, kHigh, {DW_AT_stmt_list, DW_FORM_sec_offset}}),
          lines + header + program);
  EXPECT_EQ(given_up_, 0U);
  EXPECT_EQ(lines_, 3U);
}

}  // namespace
}  // namespace alloctrail
